//! How a method is called: JSON is read into the request by the contract, the request goes through the API in this process, and what comes back is JSON.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future, stream as streams};
use prost::{Message, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::refusals::{self, Refused};
use crate::service::server::InProcess;
use crate::wire::codec::BoundedCodec;
use crate::wire::json::{NotThisMessage, read_by_contract};

/// The largest answer that is read. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Messages as JSON, one a line.
const LINES: &str = "application/x-ndjson";

/// What is sent to a method.
pub(super) enum Sent {
    /// A request.
    One(Value),
    /// Bytes that are requests, one a line.
    Lines(Body),
}

/// How a method is called: past the door with the caller's own headers.
pub(super) type Call = fn(InProcess, PathAndQuery, MetadataMap, Sent) -> BoxFuture<'static, Result<Response, Refused>>;

/// What a message of the contract must be able to do here.
pub(super) trait FromJson: Message + Name + DeserializeOwned + Send + 'static {}
impl<T: Message + Name + DeserializeOwned + Send + 'static> FromJson for T {}

/// What an answer of the contract must be able to do here.
pub(super) trait ToJson: Message + Name + Default + Serialize + Send + 'static {}
impl<T: Message + Name + Default + Serialize + Send + 'static> ToJson for T {}

/// One request, one answer.
pub(super) const fn unary<Q: FromJson, A: ToJson>() -> Call {
    |api, path, metadata, sent| {
        async move {
            let request = one::<Q>(sent, metadata)?;
            let mut client = client(api).await?;
            let codec = BoundedCodec::<Q, A>::default();
            let answer = client.unary(request, path, codec).await?.into_inner();
            let text = json(&answer)?;
            Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
        }
        .boxed()
    }
}

/// One request, answers as they come.
pub(super) const fn stream<Q: FromJson, A: ToJson>() -> Call {
    |api, path, metadata, sent| {
        async move {
            let request = one::<Q>(sent, metadata)?;
            let mut client = client(api).await?;
            let codec = BoundedCodec::<Q, A>::default();
            let answers = client.server_streaming(request, path, codec).await?.into_inner();
            Ok(lines(answers))
        }
        .boxed()
    }
}

/// Requests as they come, and answers as they come.
pub(super) const fn both_streams<Q: FromJson, A: ToJson>() -> Call {
    |api, path, metadata, sent| {
        async move {
            let Sent::Lines(body) = sent else { return Err(Refused::about("", "is sent as lines, each a request")) };
            let mut client = client(api).await?;
            let codec = BoundedCodec::<Q, A>::default();
            // A line that is no request ends the stream: nobody knows what was meant.
            let (wrong, broken) = tokio::sync::oneshot::channel();
            let requests = requests::<Q>(body).scan(Some(wrong), |wrong, request| {
                future::ready(request.map_err(|refused| wrong.take().map(|wrong| wrong.send(refused))).ok())
            });
            let mut request = Request::new(requests);
            *request.metadata_mut() = metadata;
            let answers = client.streaming(request, path, codec).await?.into_inner();
            let last = broken.map(|broken| broken.ok().map(Err::<A, _>)).into_stream().filter_map(future::ready);
            Ok(lines(answers.map_err(Refused::from).chain(last)))
        }
        .boxed()
    }
}

fn one<Q: FromJson>(sent: Sent, metadata: MetadataMap) -> Result<Request<Q>, Refused> {
    let Sent::One(value) = sent else { return Err(Refused::about("", "is one request")) };
    let mut request = Request::new(read::<Q>(&value.to_string())?);
    *request.metadata_mut() = metadata;
    Ok(request)
}

fn read<Q: FromJson>(text: &str) -> Result<Q, Refused> {
    let read = |text: &str| read_by_contract::<Q>(text, Q::NAME);
    read(text).map_err(|NotThisMessage { field, problem }| Refused::about(&field, &problem))
}

async fn client(api: InProcess) -> Result<Grpc<InProcess>, Refused> {
    let mut client = Grpc::new(api).max_decoding_message_size(ANSWER_BYTES_MAX);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(client)
}

fn json(answer: &impl Serialize) -> Result<String, Status> {
    serde_json::to_string(answer).map_err(|error| Status::internal(format!("the answer cannot be written as JSON: {error}")))
}

/// Answers as lines. What ends them early is the last line, as it would be the answer otherwise.
fn lines<A: ToJson, E: Into<Refused> + Send + 'static>(answers: impl Stream<Item = Result<A, E>> + Send + 'static) -> Response {
    let line = |answer: Result<A, E>| {
        let text = answer.map_err(Into::into).and_then(|answer| json(&answer).map_err(Refused::from));
        Ok::<_, Infallible>(text.unwrap_or_else(|refused| refusals::text(&refused.0)) + "\n")
    };
    ([(CONTENT_TYPE, LINES)], Body::from_stream(answers.map(line))).into_response()
}

/// The requests of a body. Memory holds one line, which is no longer than a request may be.
fn requests<Q: FromJson>(body: Body) -> impl Stream<Item = Result<Q, Refused>> + Send {
    let chunks = body.into_data_stream().map_err(|_| Refused::about("", "ended before its end")).boxed();
    let state = (chunks, Vec::<u8>::new(), 0_usize);
    let next_line = |(mut chunks, mut kept, number): (streams::BoxStream<'static, Result<Bytes, Refused>>, Vec<u8>, usize)| async move {
        loop {
            if let Some(end) = kept.iter().position(|byte| *byte == b'\n') {
                let rest = kept.split_off(end + 1);
                let line = std::mem::replace(&mut kept, rest);
                return Some((Ok(line), (chunks, kept, number + 1)));
            }
            match chunks.next().await {
                Some(Ok(chunk)) if kept.len() + chunk.len() > ANSWER_BYTES_MAX => {
                    return Some((Err(Refused::about("", "has a line that is too long")), (chunks, Vec::new(), number)));
                }
                Some(Ok(chunk)) => kept.extend_from_slice(&chunk),
                Some(Err(error)) => return Some((Err(error), (chunks, Vec::new(), number))),
                None if kept.is_empty() => return None,
                None => return Some((Ok(std::mem::take(&mut kept)), (chunks, kept, number + 1))),
            }
        }
    };
    let lines = streams::unfold(state, next_line).enumerate();
    lines.filter_map(|(number, line)| {
        let request = line.map(|line| {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            (!text.is_empty()).then(|| read::<Q>(text).map_err(|refused| refused.in_line(number + 1)))
        });
        future::ready(match request {
            Ok(request) => request,
            Err(refused) => Some(Err(refused)),
        })
    })
}
