//! How assistants connect: over standard input and output as a child of theirs, or over HTTP.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use rmcp::ServiceExt as _;
use rmcp::transport::stdio;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

pub use super::tools::{Assistant, Caller};

/// Serves one assistant over standard input and output, until it leaves.
///
/// # Errors
/// When what comes in is not the protocol.
pub async fn serve_child(assistant: Assistant) -> anyhow::Result<()> {
    let running = assistant.serve(stdio()).await.context("beginning to speak with the assistant")?;
    running.waiting().await.context("speaking with the assistant")?;
    Ok(())
}

/// Serves assistants over HTTP at `/mcp`, under the names of this machine alone.
///
/// # Errors
/// When the listener fails.
pub async fn serve_http(listener: TcpListener, assistant: Assistant) -> std::io::Result<()> {
    let each = move || Ok(assistant.clone());
    let service =
        StreamableHttpService::new(each, Arc::new(LocalSessionManager::default()), StreamableHttpServerConfig::default());
    axum::serve(listener, Router::new().nest_service("/mcp", service)).await
}
