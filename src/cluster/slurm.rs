//! A job as `squeue` prints it.
//!
//! Its columns and not its JSON: the format of the latter changes with Slurm's
//! version and needs a plug-in that is not everywhere.

/// The columns that [`Job::parse`] reads, as `squeue --format` takes them. Those
/// that may hold anything come last.
pub const JOB_COLUMNS: &str = "%A|%T|%M|%L|%N|%r|%k|%o|%j";

/// What Slurm says of a job's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits for its turn.
    Pending,
    /// Its script runs, or is about to.
    Running,
    /// It ends.
    Ending,
}

/// A job of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// Its progress.
    pub state: JobState,
    /// How long it has run, as Slurm writes it.
    pub age: String,
    /// The time that is left, as Slurm writes it.
    pub left: String,
    /// The node; empty while there is none.
    pub node: String,
    /// Why it waits, in Slurm's word.
    pub reason: String,
    /// What was noted with it when it was submitted (`--comment`).
    pub comment: Option<String>,
    /// The script that it runs.
    pub command: Option<String>,
    /// Its name.
    pub name: String,
}

/// Whether a field says anything.
fn is_told(text: &String) -> bool {
    text != "(null)" && !text.is_empty()
}

impl Job {
    /// Reads one line of `squeue`; `None` if it is none.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(9, '|').map(str::trim);
        let mut next = || fields.next().map(str::to_owned);
        Some(Self {
            id: next()?.parse().ok()?,
            state: match next()?.as_str() {
                "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" => {
                    JobState::Pending
                }
                "RUNNING" | "CONFIGURING" | "SUSPENDED" | "STOPPED" => JobState::Running,
                _ => JobState::Ending,
            },
            age: next()?,
            left: next()?,
            node: next()?,
            reason: next()?,
            comment: next().filter(is_told),
            command: next().filter(is_told),
            name: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name_holds() {
        let job =
            Job::parse("17|PENDING|0:00|8:00:00||Resources|(null)|(null)|envspec-lab|x").unwrap();
        assert_eq!((job.id, job.state), (17, JobState::Pending));
        assert_eq!(job.comment, None);
        assert_eq!(
            (job.reason.as_str(), job.name.as_str()),
            ("Resources", "envspec-lab|x")
        );
        let job = Job::parse("18|RUNNING|1:02|6:58|med0101|None|lab-0123|/r/start.sh|envspec-lab")
            .unwrap();
        assert_eq!((job.node.as_str(), job.left.as_str()), ("med0101", "6:58"));
        assert_eq!(job.comment.as_deref(), Some("lab-0123"));
        assert_eq!(job.command.as_deref(), Some("/r/start.sh"));
        assert_eq!(Job::parse("squeue: error: no"), None);
    }
}
