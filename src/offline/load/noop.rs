//! The ceiling: a server with the same messages that decides nothing and keeps nothing. And the plain path: the same server, keeping
//! each decision the way that one would write first.
//!
//! What the ceiling answers for each second is the most that any server can reach on this machine with this client. Neither must ever be
//! offered to a real caller. Called by `selfsame bench`.

use std::net::SocketAddr;

use futures::stream::BoxStream;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::plain_path::PlainPath;
use crate::wire::v1;
use crate::wire::v1::screening_service_server::{ScreeningService, ScreeningServiceServer};

/// What is kept of a conversion before it is answered.
pub enum Keeping {
    /// Nothing: the ceiling.
    Nothing,
    /// Counters and records, by read-modify-write: what the real ledger is measured against.
    Plainly(PlainPath),
}

/// Answers every conversion with one constant decision of the usual size.
pub struct NoopScreening {
    keeping: Keeping,
}

/// Serves on a bound listener until the process ends.
///
/// # Errors
/// The transport's, when accepting fails.
pub async fn serve(listener: TcpListener, keeping: Keeping) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .tcp_nodelay(true)
        .add_service(ScreeningServiceServer::new(NoopScreening { keeping }))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
}

/// Binds and tells where; port 0 takes a free one.
///
/// # Errors
/// The operating system's, when the address cannot be bound.
pub async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

fn constant_decision(conversion: v1::Conversion) -> v1::Decision {
    v1::Decision {
        program_id: conversion.program_id,
        conversion_id: conversion.conversion_id,
        referrer_account_id: conversion.referrer.map(|side| side.account_id).unwrap_or_default(),
        referee_account_id: conversion.referee.map(|side| side.account_id).unwrap_or_default(),
        verdict: v1::Verdict::InReview.into(),
        screened_verdict: v1::Verdict::InReview.into(),
        score: 0.5,
        risk_score: 50,
        referrer_safe_reason: Some(v1::ReferrerSafeReason {
            code: v1::ReferrerSafeReasonCode::UnderReview.into(),
            sentence: "The referral is being checked. This can take a few days.".to_owned(),
        }),
        policy_version: "no-op".to_owned(),
        cursor: "1-0000000000000000".to_owned(),
        ..v1::Decision::default()
    }
}

fn not_served() -> Status {
    Status::unimplemented("the no-op server only answers ScreenConversion")
}

#[tonic::async_trait]
impl ScreeningService for NoopScreening {
    type ScreenConversionsStream = BoxStream<'static, Result<v1::ScreenConversionsResponse, Status>>;

    async fn screen_conversion(
        &self,
        request: Request<v1::ScreenConversionRequest>,
    ) -> Result<Response<v1::ScreenConversionResponse>, Status> {
        let conversion = request.into_inner().conversion.ok_or_else(|| Status::invalid_argument("`conversion` is missing"))?;
        if let Keeping::Plainly(path) = &self.keeping {
            let record = conversion.encode_to_vec();
            let kept = path.keep(&conversion.conversion_id, record).await;
            kept.map_err(|error| Status::unavailable(error.to_string()))?;
        }
        let decision = Some(constant_decision(conversion));
        Ok(Response::new(v1::ScreenConversionResponse { decision, ..Default::default() }))
    }

    async fn screen_conversions(
        &self,
        _request: Request<Streaming<v1::ScreenConversionsRequest>>,
    ) -> Result<Response<Self::ScreenConversionsStream>, Status> {
        Err(not_served())
    }

    async fn get_decision(&self, _request: Request<v1::GetDecisionRequest>) -> Result<Response<v1::GetDecisionResponse>, Status> {
        Err(not_served())
    }

    async fn list_decisions(
        &self,
        _request: Request<v1::ListDecisionsRequest>,
    ) -> Result<Response<v1::ListDecisionsResponse>, Status> {
        Err(not_served())
    }

    async fn record_signals(
        &self,
        _request: Request<v1::RecordSignalsRequest>,
    ) -> Result<Response<v1::RecordSignalsResponse>, Status> {
        Err(not_served())
    }

    async fn record_outcome(
        &self,
        _request: Request<v1::RecordOutcomeRequest>,
    ) -> Result<Response<v1::RecordOutcomeResponse>, Status> {
        Err(not_served())
    }

    async fn revoke_outcome(
        &self,
        _request: Request<v1::RevokeOutcomeRequest>,
    ) -> Result<Response<v1::RevokeOutcomeResponse>, Status> {
        Err(not_served())
    }

    async fn list_pending_outcomes(
        &self,
        _request: Request<v1::ListPendingOutcomesRequest>,
    ) -> Result<Response<v1::ListPendingOutcomesResponse>, Status> {
        Err(not_served())
    }
}
