//! What commands say beside their result, on standard error: bars, spinners, remarks. Bars are drawn on terminals alone; `--quiet` silences all of it.
//! It must never hold a result or an error.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Whether `--quiet` was given. A process runs one command.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Says nothing beside results and errors from now on.
pub fn silence() {
    QUIET.store(true, Ordering::Relaxed);
}

fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A bar of so many steps, or of unknown many. `template` is of `indicatif`.
pub(super) fn bar(steps: Option<u64>, template: &str) -> ProgressBar {
    let target = if is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(steps, target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A spinner that turns by itself, for work that cannot be counted.
pub(super) fn spinner() -> ProgressBar {
    let spinner = bar(None, "{spinner} {msg}");
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// Says something that is no result. That it cannot be said is no failure.
pub(super) fn remark(text: impl Display) {
    if !is_quiet() {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
