//! The table: which role may call which method, and where. One row for each method of the contract; what has no row is refused.

use crate::vocabulary::role::Role;
use crate::vocabulary::role::Role::{Admin, Auditor, Lead, Payer, Reviewer, Screener, Trainer};

/// Where a method works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In one programme, and only reads.
    Reads,
    /// In one programme, which must be in use.
    Writes,
    /// In the ledger as a whole: for callers whose programmes are all.
    Ledger,
    /// Nowhere: it tells a caller of itself.
    Own,
}

/// A row: who may call a method.
#[derive(Debug)]
pub(super) struct Rule {
    /// The method, by service and name.
    pub(super) method: &'static str,
    pub(super) place: Place,
    /// One of these is needed.
    pub(super) roles: &'static [Role],
}

const fn rule(method: &'static str, place: Place, roles: &'static [Role]) -> Rule {
    Rule { method, place, roles }
}

const ALL: &[Role] = &Role::ALL;

#[rustfmt::skip]
pub(super) const TABLE: [Rule; 71] = [
    rule("ScreeningService/ScreenConversion",    Place::Writes, &[Screener]),
    rule("ScreeningService/ScreenConversions",   Place::Writes, &[Screener]),
    rule("ScreeningService/RecordSignals",       Place::Writes, &[Screener]),
    rule("ScreeningService/RecordOutcome",       Place::Writes, &[Screener, Lead]),
    rule("ScreeningService/RevokeOutcome",       Place::Writes, &[Screener, Lead]),
    rule("ScreeningService/GetDecision",         Place::Reads,  &[Screener, Payer, Reviewer, Lead, Trainer, Auditor]),
    rule("ScreeningService/ListDecisions",       Place::Reads,  &[Reviewer, Lead, Trainer, Auditor]),
    rule("ScreeningService/ListPendingOutcomes", Place::Reads,  &[Screener, Lead, Auditor]),

    rule("PayoutService/CheckPayouts",           Place::Reads,  &[Payer, Lead, Auditor]),
    rule("PayoutService/WatchDecisions",         Place::Reads,  &[Screener, Payer, Auditor]),
    rule("PayoutService/ReservePayouts",         Place::Writes, &[Payer]),
    rule("PayoutService/RenewReservation",       Place::Writes, &[Payer]),
    rule("PayoutService/CancelReservation",      Place::Writes, &[Payer]),
    rule("PayoutService/MarkPaid",               Place::Writes, &[Payer]),
    rule("PayoutService/MarkFailed",             Place::Writes, &[Payer]),
    rule("PayoutService/AddRewards",             Place::Writes, &[Screener]),
    rule("PayoutService/UpdateRewards",          Place::Writes, &[Screener]),
    rule("PayoutService/PlaceHold",              Place::Writes, &[Payer, Reviewer, Lead]),
    rule("PayoutService/LiftHold",               Place::Writes, &[Payer, Lead]),
    rule("PayoutService/ListHolds",              Place::Reads,  &[Payer, Reviewer, Lead, Auditor]),

    rule("ReviewService/ListCases",              Place::Reads,  &[Reviewer, Lead, Auditor]),
    rule("ReviewService/GetCase",                Place::Reads,  &[Reviewer, Lead, Auditor]),
    rule("ReviewService/GetQueueStats",          Place::Reads,  &[Reviewer, Lead, Auditor]),
    rule("ReviewService/GetAccount",             Place::Reads,  &[Reviewer, Lead, Auditor]),
    rule("ReviewService/ListClusters",           Place::Reads,  &[Reviewer, Lead, Auditor]),
    rule("ReviewService/GetCluster",             Place::Reads,  &[Reviewer, Lead, Auditor]),
    rule("ReviewService/PreviewCases",           Place::Reads,  &[Reviewer, Lead]),
    rule("ReviewService/ActOnCases",             Place::Writes, &[Reviewer, Lead]),
    rule("ReviewService/ClaimCase",              Place::Writes, &[Reviewer, Lead]),
    rule("ReviewService/ReleaseCase",            Place::Writes, &[Reviewer, Lead]),
    rule("ReviewService/ResolveCase",            Place::Writes, &[Reviewer, Lead]),
    rule("ReviewService/ReopenCase",             Place::Writes, &[Reviewer, Lead]),
    rule("ReviewService/AddNote",                Place::Writes, &[Reviewer, Lead]),

    rule("ListService/PutListEntry",             Place::Writes, &[Lead]),
    rule("ListService/RemoveListEntry",          Place::Writes, &[Lead]),
    rule("ListService/ListListEntries",          Place::Reads,  &[Reviewer, Lead, Auditor]),

    rule("ConfirmationService/ListPendingActs",  Place::Reads,  &[Screener, Payer, Reviewer, Lead, Trainer, Auditor]),
    rule("ConfirmationService/ConfirmAct",       Place::Writes, &[Screener, Payer, Reviewer, Lead, Trainer]),
    rule("ConfirmationService/RefuseAct",        Place::Writes, &[Screener, Payer, Reviewer, Lead, Trainer]),
    rule("ConfirmationService/WithdrawAct",      Place::Writes, &[Screener, Payer, Reviewer, Lead, Trainer]),

    rule("ModelService/ListModels",              Place::Reads,  &[Trainer, Lead, Auditor]),
    rule("ModelService/GetModelStatus",          Place::Reads,  &[Trainer, Lead, Auditor]),
    rule("ModelService/ListDisagreements",       Place::Reads,  &[Trainer, Lead, Auditor]),
    rule("ModelService/LoadModel",               Place::Writes, &[Trainer]),
    rule("ModelService/ActivateModel",           Place::Writes, &[Trainer]),
    rule("ModelService/RollbackModel",           Place::Writes, &[Trainer]),
    rule("ModelService/SetChallenger",           Place::Writes, &[Trainer]),
    rule("TrainingService/ExportConversions",    Place::Reads,  &[Trainer, Auditor]),

    rule("AuditService/SearchAudit",             Place::Reads,  &[Auditor, Admin]),
    rule("AuditService/ExportAudit",             Place::Reads,  &[Auditor, Admin]),
    rule("AuditService/VerifyAudit",             Place::Reads,  &[Auditor, Admin]),

    rule("PrivacyService/EraseAccount",          Place::Reads,  &[Lead, Admin]),

    rule("OperationsService/StreamBackup",       Place::Ledger, &[Admin]),
    rule("OperationsService/Diagnose",           Place::Reads,  &[Auditor, Admin]),

    rule("ProgramService/CreateProgram",         Place::Ledger, &[Admin]),
    rule("ProgramService/UpdateProgram",         Place::Reads,  &[Admin]),
    rule("ProgramService/ArchiveProgram",        Place::Reads,  &[Admin]),
    rule("ProgramService/UnarchiveProgram",      Place::Reads,  &[Admin]),
    rule("ProgramService/GetProgram",            Place::Reads,  ALL),
    rule("ProgramService/ListPrograms",          Place::Own,    ALL),
    rule("ProgramService/SetProgramTerms",       Place::Writes, &[Lead]),
    rule("ProgramService/GetProgramTerms",       Place::Reads,  &[Payer, Reviewer, Lead, Trainer, Auditor, Admin]),
    rule("ProgramService/RekeyValues",           Place::Writes, &[Lead]),
    rule("ProgramService/GetKeyUse",             Place::Reads,  &[Lead, Auditor, Admin]),

    rule("AccessService/PutIdentity",            Place::Ledger, &[Admin]),
    rule("AccessService/RemoveIdentity",         Place::Ledger, &[Admin]),
    rule("AccessService/ListIdentities",         Place::Ledger, &[Admin, Auditor]),
    rule("AccessService/IssueToken",             Place::Ledger, &[Admin]),
    rule("AccessService/RevokeToken",            Place::Ledger, &[Admin]),
    rule("AccessService/MakeAccessToken",        Place::Own,    ALL),
    rule("AccessService/WhoAmI",                 Place::Own,    ALL),
];

/// The row of a method; `None` when it has none.
pub(super) fn rule_of(method: &str) -> Option<&'static Rule> {
    TABLE.iter().find(|rule| rule.method == method)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::service::limits::methods_of;
    use crate::wire::FILE_DESCRIPTOR_SET;

    #[test]
    fn every_method_of_the_contract_has_one_row_and_nothing_else_has() {
        let contract: BTreeSet<String> = methods_of(FILE_DESCRIPTOR_SET).into_iter().map(|(_, name, _)| name).collect();
        let rows: BTreeSet<String> = TABLE.iter().map(|rule| rule.method.to_owned()).collect();
        assert_eq!(rows.len(), TABLE.len(), "a method has two rows");
        assert_eq!(rows, contract);
    }

    #[test]
    fn an_auditor_changes_nothing_and_an_administrator_moves_no_money() {
        for Rule { method, place, roles } in &TABLE {
            let changes = *place == Place::Writes || method.contains("/Put") || method.contains("/Issue");
            assert!(!(changes && roles.contains(&Auditor)), "{method}");
            assert!(!(*place == Place::Writes && roles.contains(&Admin)), "{method}");
        }
    }
}
