//! Bars on a terminal, nothing elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say::Ui;
use crate::conda::{Progress, Silent, Step};

/// The listener for long work: bars if there is a terminal to draw on.
pub(super) fn listener(ui: &Ui) -> Arc<dyn Progress> {
    if ui.draws() {
        Arc::new(Bars {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)),
            bars: Mutex::new(BTreeMap::new()),
        })
    } else {
        Arc::new(Silent)
    }
}

struct Bars {
    all: MultiProgress,
    bars: Mutex<BTreeMap<Step, ProgressBar>>,
}

impl Bars {
    fn bar(&self, step: Step) -> ProgressBar {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        bars.entry(step)
            .or_insert_with(|| {
                let bar = self.all.add(ProgressBar::no_length());
                bar.set_style(style(step));
                bar.set_prefix(title(step));
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            })
            .clone()
    }
}

fn title(step: Step) -> &'static str {
    match step {
        Step::Wait => "Waiting",
        Step::Index => "Reading the channels",
        Step::Solve => "Resolving",
        Step::Fetch => "Fetching",
        Step::Link => "Linking",
        Step::Compile => "Compiling",
        Step::Nix => "Nix",
        Step::Kernels => "Kernels",
        Step::Cache => "Package cache",
        Step::Verify => "Verifying",
        Step::Delete => "Deleting",
    }
}

fn style(step: Step) -> ProgressStyle {
    let template = match step {
        Step::Index => "{prefix:>20} {spinner} {bytes}",
        Step::Solve | Step::Wait | Step::Nix => "{prefix:>20} {spinner} {elapsed}",
        Step::Fetch | Step::Verify => {
            "{prefix:>20} [{bar:32}] {bytes}/{total_bytes} {bytes_per_sec}"
        }
        Step::Link | Step::Compile | Step::Kernels | Step::Cache | Step::Delete => {
            "{prefix:>20} [{bar:32}] {pos}/{len}"
        }
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Progress for Bars {
    fn begin(&self, step: Step, total: u64) {
        let bar = self.bar(step);
        if total > 0 {
            bar.set_length(bar.length().unwrap_or(0) + total);
        }
    }

    fn advance(&self, step: Step, by: u64) {
        self.bar(step).inc(by);
    }

    fn end(&self, step: Step) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bars.remove(&step) {
            bar.finish_and_clear();
        }
    }
}
