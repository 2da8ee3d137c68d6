//! The tools, as an assistant sees them. All of them read.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, Implementation, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, schemars, tool, tool_handler, tool_router};
use serde::Deserialize;
use tonic::Status;
use tonic::codegen::http;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::integration::Seen;
use super::{documents, referral};
use crate::wire::credentials::{ACTOR, AUTHORIZATION, Credentials};
use crate::wire::v1::confirmation_service_client::ConfirmationServiceClient;
use crate::wire::v1::operations_service_client::OperationsServiceClient;
use crate::wire::v1::payout_service_client::PayoutServiceClient;
use crate::wire::v1::program_service_client::ProgramServiceClient;
use crate::wire::v1::review_service_client::ReviewServiceClient;
use crate::wire::v1::screening_service_client::ScreeningServiceClient;

/// The largest answer that is read. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

type Calls = InterceptedService<Channel, Credentials>;

/// The API for one caller.
pub(super) struct Api(Calls);

macro_rules! clients {
    ($($name:ident: $client:ident;)*) => {
        $(pub(super) fn $name(&self) -> $client<Calls> {
            $client::new(self.0.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
        })*
    };
}

impl Api {
    clients! {
        screening: ScreeningServiceClient;
        payouts: PayoutServiceClient;
        review: ReviewServiceClient;
        programs: ProgramServiceClient;
        operations: OperationsServiceClient;
        confirmations: ConfirmationServiceClient;
    }
}

/// As whom the API is called.
#[derive(Clone)]
pub enum Caller {
    /// As whoever runs the command.
    Own(Credentials),
    /// As whoever calls over HTTP, by the headers of each request. Who shows nothing is nobody.
    EachRequest,
}

/// What an assistant may ask.
#[derive(Clone)]
pub struct Assistant {
    channel: Channel,
    caller: Caller,
    /// The programme that is meant where none is named.
    program: Option<String>,
    tool_router: ToolRouter<Self>,
}

/// A programme.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct InProgram {
    /// The programme's id. Leave it out for the one that this server was started with.
    program_id: Option<String>,
}

/// A conversion of a programme.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct OfConversion {
    /// The programme's id. Leave it out for the one that this server was started with.
    program_id: Option<String>,
    /// The id of the conversion, as the product sent it.
    conversion_id: String,
}

/// A question.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct Question {
    /// Words to look for: a reason of an error, a field, a command, a task.
    question: String,
}

#[tool_router]
impl Assistant {
    /// Looks at a server over this channel.
    #[must_use]
    pub fn new(channel: Channel, caller: Caller, program: Option<String>) -> Self {
        Self { channel, caller, program, tool_router: Self::tool_router() }
    }

    /// Is my integration working? What arrives (conversions, outcomes, payouts), when it did last, what share could be compared, and what to mend.
    #[tool(annotations(title = "Check the integration", read_only_hint = true))]
    async fn check_integration(
        &self,
        Parameters(InProgram { program_id }): Parameters<InProgram>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let looked = async {
            let (api, program) = self.asked(program_id, &context)?;
            let (seen, unseen) = Seen::look(&api, &program).await?;
            let steps = seen.steps();
            let verdict =
                if steps.is_empty() { "It works: nothing is to be mended.".to_owned() } else { list("What to do", &steps) };
            Ok(format!("# Programme {program}\n\n{}\n{verdict}\n{}", seen.arrives(), list("You may not see", &unseen)))
        };
        shown(looked.await)
    }

    /// Why was this reward held, or this referral rejected? The verdict with its reasons, what the gate says of each reward, and who can change it.
    #[tool(annotations(title = "Why a reward is held", read_only_hint = true))]
    async fn why_held(
        &self,
        Parameters(OfConversion { program_id, conversion_id }): Parameters<OfConversion>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let looked = async {
            let (api, program) = self.asked(program_id, &context)?;
            referral::why(&api, &program, &conversion_id).await
        };
        shown(looked.await)
    }

    /// What is to be done next in a programme: findings with their fix, overdue cases, outcomes that found nothing, acts that wait. The worst first.
    #[tool(annotations(title = "What to do next", read_only_hint = true))]
    async fn next_steps(
        &self,
        Parameters(InProgram { program_id }): Parameters<InProgram>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let looked = async {
            let (api, program) = self.asked(program_id, &context)?;
            let (seen, unseen) = Seen::look(&api, &program).await?;
            let steps = seen.steps();
            let steps = if steps.is_empty() { "Nothing is to be done.\n".to_owned() } else { list("What to do", &steps) };
            Ok(format!("{steps}\n{}", list("You may not see", &unseen)))
        };
        shown(looked.await)
    }

    /// Searches the documents of this version: the API by example, errors and their reasons, digests, operations, reviewing, access.
    #[tool(annotations(title = "Search the documents", read_only_hint = true))]
    fn search_docs(Parameters(Question { question }): Parameters<Question>) -> String {
        documents::search(&question)
    }
}

impl Assistant {
    /// The API as whoever asks, and the programme that is meant.
    fn asked(&self, program: Option<String>, context: &RequestContext<RoleServer>) -> Result<(Api, String), Status> {
        let credentials = match &self.caller {
            Caller::Own(own) => own.clone(),
            Caller::EachRequest => shown_by(context)?,
        };
        let which = || Status::invalid_argument("which programme? Give `program_id`, or start with --program");
        let program = program.or_else(|| self.program.clone()).ok_or_else(which)?;
        Ok((Api(InterceptedService::new(self.channel.clone(), credentials)), program))
    }
}

/// What an HTTP request shows of who calls.
fn shown_by(context: &RequestContext<RoleServer>) -> Result<Credentials, Status> {
    let Some(parts) = context.extensions.get::<http::request::Parts>() else { return Ok(Credentials::default()) };
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let read = match (text(AUTHORIZATION), text(ACTOR)) {
        (Some(token), _) => Credentials::token(token.trim_start_matches("Bearer ").trim()),
        (None, Some(name)) => Credentials::name(name),
        (None, None) => return Ok(Credentials::default()),
    };
    read.map_err(|_| Status::unauthenticated("the header of who calls cannot be read"))
}

/// What is refused is the tool's answer too: the assistant reads it and says what to do.
fn shown(looked: Result<String, Status>) -> CallToolResult {
    match looked {
        Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        Err(status) => CallToolResult::error(vec![ContentBlock::text(format!("{:?}: {}", status.code(), status.message()))]),
    }
}

fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().enumerate().fold(String::new(), |text, (at, line)| text + &format!("{}. {line}\n", at + 1));
    format!("{title}:\n{lines}")
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Assistant {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("selfsame", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "Selfsame stops referral fraud before rewards are paid. Begin with check_integration; ask why_held about one conversion; search_docs \
                 knows errors, fields and commands. Nothing here changes anything: what is to be decided, people decide.",
            )
    }
}
