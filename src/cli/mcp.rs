//! `selfsame mcp`: lets an assistant look at a running server, by the Model Context Protocol. It must never write anything but the protocol to standard output.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::net::TcpListener;

use super::client::{ServerArgs, block_on};
use super::progress;
use crate::assistant::server::{Assistant, Caller, serve_child, serve_http};

const EXAMPLES: &str = "\
Examples:
  As the child of an assistant, with your own token; its configuration names the command and these arguments:
    selfsame mcp --server https://selfsame.internal:50051 --program shop

  Over HTTP on this machine: each request shows its own token (`Authorization: Bearer …`), and nobody borrows yours:
    selfsame mcp --listen 127.0.0.1:50055

It reads and changes nothing: does the integration work, why was a reward held, what is to be done next, what do the documents say.";

/// Let an assistant look at a running server (Model Context Protocol)
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct McpArgs {
    #[command(flatten)]
    server: ServerArgs,

    /// Speak HTTP here, at `/mcp`, instead of standard input and output; an address of this machine
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

/// Runs the command.
///
/// # Errors
/// When nobody answers, the address is taken or not of this machine, or the assistant does not speak the protocol.
pub fn run(args: &McpArgs) -> anyhow::Result<()> {
    let McpArgs { server, listen } = args;
    // Without one, each question has to name its programme.
    let program = server.program().ok();
    block_on(async {
        let reached = server.connection.reached(None)?;
        let channel = reached.channel().await?;
        let Some(address) = *listen else {
            return serve_child(Assistant::new(channel, Caller::Own(reached.credentials), program)).await;
        };
        if !address.ip().is_loopback() {
            bail!(
                "{address} is reached from beyond this machine, in plaintext and with tokens: listen at 127.0.0.1, and put a proxy before it that speaks TLS"
            );
        }
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening at {address}"))?;
        progress::remark(format!("assistants find it at http://{}/mcp", listener.local_addr()?));
        Ok(serve_http(listener, Assistant::new(channel, Caller::EachRequest, program)).await?)
    })
}
