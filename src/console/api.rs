//! The API as the console calls it: in this process, past the same door, as whoever signed in.

use tonic::service::interceptor::InterceptedService;

use crate::service::server::InProcess;
use crate::wire::credentials::Credentials;
use crate::wire::v1::access_service_client::AccessServiceClient;
use crate::wire::v1::model_service_client::ModelServiceClient;
use crate::wire::v1::operations_service_client::OperationsServiceClient;
use crate::wire::v1::program_service_client::ProgramServiceClient;
use crate::wire::v1::review_service_client::ReviewServiceClient;

/// The largest answer that is read. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

type As = InterceptedService<InProcess, Credentials>;

/// The API for one caller.
#[derive(Clone)]
pub(super) struct Api {
    service: InProcess,
    credentials: Credentials,
}

impl Api {
    pub(super) const fn new(service: InProcess, credentials: Credentials) -> Self {
        Self { service, credentials }
    }

    fn of_caller(&self) -> As {
        InterceptedService::new(self.service.clone(), self.credentials.clone())
    }

    pub(super) fn review(&self) -> ReviewServiceClient<As> {
        ReviewServiceClient::new(self.of_caller()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn access(&self) -> AccessServiceClient<As> {
        AccessServiceClient::new(self.of_caller())
    }

    pub(super) fn programs(&self) -> ProgramServiceClient<As> {
        ProgramServiceClient::new(self.of_caller())
    }

    pub(super) fn models(&self) -> ModelServiceClient<As> {
        ModelServiceClient::new(self.of_caller())
    }

    pub(super) fn operations(&self) -> OperationsServiceClient<As> {
        OperationsServiceClient::new(self.of_caller())
    }
}
