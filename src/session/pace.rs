//! How often a session that is waited for is looked at: each look asks the
//! scheduler, which serves all users of a site.

use std::time::Duration;

use super::model::{Session, State};

/// The pauses between looks, which grow while nothing happens.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What was last seen, and how often in a row.
    seen: Option<(State, u32)>,
}

impl Pace {
    /// The pause after a session was seen.
    pub(super) fn after(&mut self, session: &Session) -> Duration {
        self.after_state(session.state, session.job.is_some())
    }

    /// The pause after a state was seen, of a job or of a process.
    pub(super) fn after_state(&mut self, state: State, is_job: bool) -> Duration {
        let times = match self.seen {
            Some((before, times)) if before == state => times + 1,
            _ => 0,
        };
        self.seen = Some((state, times));
        let (first, longest) = match state {
            // A look at a process asks nobody.
            _ if !is_job => (400, 400),
            State::Starting | State::Ready => (1_000, 5_000),
            State::Pending | State::Ending => (2_000, 30_000),
            // The scheduler is silent: it has enough to do.
            State::Unknown => (5_000, 30_000),
        };
        let grown = 1.25_f64.powi(i32::try_from(times).unwrap_or(i32::MAX));
        Duration::from_millis(first)
            .mul_f64(grown.min(100.0))
            .min(Duration::from_millis(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_of_waiting_asks_the_scheduler_some_thousand_times_and_not_more() {
        let mut pace = Pace::default();
        let mut waited = Duration::ZERO;
        let mut looks = 0;
        while waited < Duration::from_hours(10) {
            waited += pace.after_state(State::Pending, true);
            looks += 1;
        }
        assert!((1_100..1_300).contains(&looks), "{looks}");
    }

    #[test]
    fn a_change_is_followed_closely_again() {
        let mut pace = Pace::default();
        for _ in 0..50 {
            pace.after_state(State::Pending, true);
        }
        let seconds = Duration::from_secs;
        assert_eq!(pace.after_state(State::Pending, true), seconds(30));
        assert_eq!(pace.after_state(State::Starting, true), seconds(1));
        assert_eq!(pace.after_state(State::Unknown, true), seconds(5));
        let process = pace.after_state(State::Starting, false);
        assert_eq!(process, Duration::from_millis(400));
    }
}
