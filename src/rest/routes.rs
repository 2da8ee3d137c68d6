//! Which path is which method. Names in braces are fields of the request; `GET` takes the other fields as a query, the others as the body.

use super::calls::{Call, both_streams, stream, unary};
use crate::wire::v1;

/// The verb of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Does something.
    Post,
    /// Puts something as it shall be.
    Put,
    /// Takes something away.
    Delete,
}

/// What of a request stands in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing: fields that the path does not name stand in the query.
    None,
    /// The request, less what the path names.
    Whole,
    /// This field of it.
    Field(&'static str),
    /// Requests, one a line.
    Lines,
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One message.
    One,
    /// Messages, one a line, as they come.
    Lines,
}

/// A path of a method.
#[derive(Clone, Copy)]
pub struct Route {
    /// The verb.
    pub verb: Verb,
    /// The path, with fields of the request in braces.
    pub path: &'static str,
    /// The service in the contract, like `ReviewService`.
    pub service: &'static str,
    /// The method, like `GetCase`.
    pub method: &'static str,
    /// What stands in the body.
    pub body: Body,
    /// What comes back.
    pub answer: Answer,
    /// How it is called.
    pub(super) call: Call,
}

impl Route {
    /// The fields of the request that the path names, like `conversion.program_id`.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.path.split(['{', '}']).skip(1).step_by(2)
    }
}

macro_rules! routes {
    ($($verb:ident $path:literal $service:ident . $method:ident $request:ident -> $response:ident, $body:expr, $answer:ident, $how:ident;)*) => {
        [$(Route {
            verb: Verb::$verb,
            path: $path,
            service: stringify!($service),
            method: stringify!($method),
            body: $body,
            answer: Answer::$answer,
            call: $how::<v1::$request, v1::$response>(),
        }),*]
    };
}

const NONE: Body = Body::None;
const WHOLE: Body = Body::Whole;

/// Every method of the contract.
#[rustfmt::skip]
pub static ROUTES: [Route; 71] = routes! {
    // Screening
    Post "/v1/programs/{conversion.program_id}/conversions" ScreeningService.ScreenConversion ScreenConversionRequest -> ScreenConversionResponse, Body::Field("conversion"), One, unary;
    Post "/v1/conversions/lines" ScreeningService.ScreenConversions ScreenConversionsRequest -> ScreenConversionsResponse, Body::Lines, Lines, both_streams;
    Get "/v1/programs/{program_id}/decisions/{conversion_id}" ScreeningService.GetDecision GetDecisionRequest -> GetDecisionResponse, NONE, One, unary;
    Get "/v1/programs/{program_id}/decisions" ScreeningService.ListDecisions ListDecisionsRequest -> ListDecisionsResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/signals" ScreeningService.RecordSignals RecordSignalsRequest -> RecordSignalsResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/outcomes" ScreeningService.RecordOutcome RecordOutcomeRequest -> RecordOutcomeResponse, WHOLE, One, unary;
    Get "/v1/programs/{program_id}/outcomes/pending" ScreeningService.ListPendingOutcomes ListPendingOutcomesRequest -> ListPendingOutcomesResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/outcomes/{outcome_id}/revoke" ScreeningService.RevokeOutcome RevokeOutcomeRequest -> RevokeOutcomeResponse, WHOLE, One, unary;
    // Payouts
    Post "/v1/programs/{program_id}/payouts/check" PayoutService.CheckPayouts CheckPayoutsRequest -> CheckPayoutsResponse, WHOLE, One, unary;
    Get "/v1/programs/{program_id}/feed" PayoutService.WatchDecisions WatchDecisionsRequest -> WatchDecisionsResponse, NONE, Lines, stream;
    Post "/v1/programs/{program_id}/reservations" PayoutService.ReservePayouts ReservePayoutsRequest -> ReservePayoutsResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/reservations/{reservation_id}/renew" PayoutService.RenewReservation RenewReservationRequest -> RenewReservationResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/reservations/{reservation_id}/cancel" PayoutService.CancelReservation CancelReservationRequest -> CancelReservationResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/rewards/{reward_id}/paid" PayoutService.MarkPaid MarkPaidRequest -> MarkPaidResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/rewards/{reward_id}/failed" PayoutService.MarkFailed MarkFailedRequest -> MarkFailedResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/conversions/{conversion_id}/rewards" PayoutService.AddRewards AddRewardsRequest -> AddRewardsResponse, WHOLE, One, unary;
    Put "/v1/programs/{program_id}/conversions/{conversion_id}/rewards" PayoutService.UpdateRewards UpdateRewardsRequest -> UpdateRewardsResponse, WHOLE, One, unary;
    Get "/v1/programs/{program_id}/holds" PayoutService.ListHolds ListHoldsRequest -> ListHoldsResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/holds" PayoutService.PlaceHold PlaceHoldRequest -> PlaceHoldResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/holds/lift" PayoutService.LiftHold LiftHoldRequest -> LiftHoldResponse, WHOLE, One, unary;
    // Reviews
    Get "/v1/programs/{program_id}/cases" ReviewService.ListCases ListCasesRequest -> ListCasesResponse, NONE, One, unary;
    Get "/v1/programs/{program_id}/cases/{case_id}" ReviewService.GetCase GetCaseRequest -> GetCaseResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/cases/{case_id}/claim" ReviewService.ClaimCase ClaimCaseRequest -> ClaimCaseResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/cases/{case_id}/release" ReviewService.ReleaseCase ReleaseCaseRequest -> ReleaseCaseResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/cases/{case_id}/resolve" ReviewService.ResolveCase ResolveCaseRequest -> ResolveCaseResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/cases/{case_id}/notes" ReviewService.AddNote AddNoteRequest -> AddNoteResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/cases/reopen" ReviewService.ReopenCase ReopenCaseRequest -> ReopenCaseResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/cases/preview" ReviewService.PreviewCases PreviewCasesRequest -> PreviewCasesResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/cases/act" ReviewService.ActOnCases ActOnCasesRequest -> ActOnCasesResponse, WHOLE, One, unary;
    Get "/v1/programs/{program_id}/accounts/{account_id}" ReviewService.GetAccount GetAccountRequest -> GetAccountResponse, NONE, One, unary;
    Get "/v1/programs/{program_id}/clusters" ReviewService.ListClusters ListClustersRequest -> ListClustersResponse, NONE, One, unary;
    Get "/v1/programs/{program_id}/clusters/{account_id}" ReviewService.GetCluster GetClusterRequest -> GetClusterResponse, NONE, One, unary;
    Get "/v1/programs/{program_id}/queue" ReviewService.GetQueueStats GetQueueStatsRequest -> GetQueueStatsResponse, NONE, One, unary;
    // What waits for a second identity
    Get "/v1/programs/{program_id}/acts" ConfirmationService.ListPendingActs ListPendingActsRequest -> ListPendingActsResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/acts/{act_id}/confirm" ConfirmationService.ConfirmAct ConfirmActRequest -> ConfirmActResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/acts/{act_id}/refuse" ConfirmationService.RefuseAct RefuseActRequest -> RefuseActResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/acts/{act_id}/withdraw" ConfirmationService.WithdrawAct WithdrawActRequest -> WithdrawActResponse, WHOLE, One, unary;
    // The audit trail, and what a person may ask for
    Get "/v1/audit" AuditService.SearchAudit SearchAuditRequest -> SearchAuditResponse, NONE, One, unary;
    Get "/v1/audit/export" AuditService.ExportAudit ExportAuditRequest -> ExportAuditResponse, NONE, Lines, stream;
    Get "/v1/audit/verification" AuditService.VerifyAudit VerifyAuditRequest -> VerifyAuditResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/accounts/{account_id}/erase" PrivacyService.EraseAccount EraseAccountRequest -> EraseAccountResponse, WHOLE, One, unary;
    // Lists
    Get "/v1/programs/{program_id}/list-entries" ListService.ListListEntries ListListEntriesRequest -> ListListEntriesResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/list-entries" ListService.PutListEntry PutListEntryRequest -> PutListEntryResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/list-entries/remove" ListService.RemoveListEntry RemoveListEntryRequest -> RemoveListEntryResponse, WHOLE, One, unary;
    // Models
    Get "/v1/programs/{program_id}/models" ModelService.ListModels ListModelsRequest -> ListModelsResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/models" ModelService.LoadModel LoadModelRequest -> LoadModelResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/models/activate" ModelService.ActivateModel ActivateModelRequest -> ActivateModelResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/models/rollback" ModelService.RollbackModel RollbackModelRequest -> RollbackModelResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/models/challenger" ModelService.SetChallenger SetChallengerRequest -> SetChallengerResponse, WHOLE, One, unary;
    Get "/v1/programs/{program_id}/models/disagreements" ModelService.ListDisagreements ListDisagreementsRequest -> ListDisagreementsResponse, NONE, One, unary;
    Get "/v1/programs/{program_id}/models/status" ModelService.GetModelStatus GetModelStatusRequest -> GetModelStatusResponse, NONE, One, unary;
    Get "/v1/programs/{program_id}/labels" TrainingService.ExportConversions ExportConversionsRequest -> ExportConversionsResponse, NONE, Lines, stream;
    // Programmes and who may call
    Get "/v1/programs" ProgramService.ListPrograms ListProgramsRequest -> ListProgramsResponse, NONE, One, unary;
    Post "/v1/programs" ProgramService.CreateProgram CreateProgramRequest -> CreateProgramResponse, Body::Field("program"), One, unary;
    Get "/v1/programs/{program_id}" ProgramService.GetProgram GetProgramRequest -> GetProgramResponse, NONE, One, unary;
    Put "/v1/programs/{program.program_id}" ProgramService.UpdateProgram UpdateProgramRequest -> UpdateProgramResponse, Body::Field("program"), One, unary;
    Get "/v1/programs/{program_id}/terms" ProgramService.GetProgramTerms GetProgramTermsRequest -> GetProgramTermsResponse, NONE, One, unary;
    Put "/v1/programs/{program_id}/terms" ProgramService.SetProgramTerms SetProgramTermsRequest -> SetProgramTermsResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/keys/rekey" ProgramService.RekeyValues RekeyValuesRequest -> RekeyValuesResponse, WHOLE, One, unary;
    Get "/v1/programs/{program_id}/keys" ProgramService.GetKeyUse GetKeyUseRequest -> GetKeyUseResponse, NONE, One, unary;
    Post "/v1/programs/{program_id}/archive" ProgramService.ArchiveProgram ArchiveProgramRequest -> ArchiveProgramResponse, WHOLE, One, unary;
    Post "/v1/programs/{program_id}/unarchive" ProgramService.UnarchiveProgram UnarchiveProgramRequest -> UnarchiveProgramResponse, WHOLE, One, unary;
    Get "/v1/identities" AccessService.ListIdentities ListIdentitiesRequest -> ListIdentitiesResponse, NONE, One, unary;
    Put "/v1/identities/{identity.name}" AccessService.PutIdentity PutIdentityRequest -> PutIdentityResponse, Body::Field("identity"), One, unary;
    Delete "/v1/identities/{name}" AccessService.RemoveIdentity RemoveIdentityRequest -> RemoveIdentityResponse, NONE, One, unary;
    Post "/v1/identities/{identity}/tokens" AccessService.IssueToken IssueTokenRequest -> IssueTokenResponse, WHOLE, One, unary;
    Post "/v1/tokens/{token_id}/revoke" AccessService.RevokeToken RevokeTokenRequest -> RevokeTokenResponse, WHOLE, One, unary;
    Post "/v1/access-tokens" AccessService.MakeAccessToken MakeAccessTokenRequest -> MakeAccessTokenResponse, WHOLE, One, unary;
    Get "/v1/whoami" AccessService.WhoAmI WhoAmIRequest -> WhoAmIResponse, NONE, One, unary;
    // The server
    Get "/v1/diagnosis" OperationsService.Diagnose DiagnoseRequest -> DiagnoseResponse, NONE, One, unary;
    Get "/v1/backup" OperationsService.StreamBackup StreamBackupRequest -> StreamBackupResponse, NONE, Lines, stream;
};
