//! stub
use clap::Args;
/// stub
#[derive(Debug, Args)]
pub struct LedgerCommand {}
impl LedgerCommand {
    /// stub
    ///
    /// # Errors
    /// stub
    pub fn run(self) -> anyhow::Result<()> {
        Ok(())
    }
}
