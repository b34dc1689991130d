//! Why a job waits, where waiting alone may never help: what to do then.
//!
//! Slurm's words for it are those of `squeue --format=%r`. Most only say that
//! others are first (`Priority`, `Resources`); those need no advice.

use super::slurm::Job;

impl Job {
    /// What to do about a job that waits for something that time does not bring;
    /// `None` if it has only to wait for its turn.
    pub fn advice(&self) -> Option<String> {
        let id = self.id;
        let advice = match word(&self.reason).as_str() {
            "JobHeldUser" => return Some(format!("you hold it: scontrol release {id}")),
            "JobHeldAdmin" => "the site holds it: ask there",
            "launch failed requeued held" | "job requeued in held state" | "JobHoldMaxRequeue" => {
                return Some(format!(
                    "its start failed and it is held: scontrol release {id} tries again"
                ));
            }
            "DependencyNeverSatisfied" => "what it was to follow has failed: stop it",
            "PartitionDown" | "PartitionInactive" => {
                "the partition is closed: launch with another --partition"
            }
            "PartitionTimeLimit" | "QOSTimeLimit" | "AssociationTimeLimit" => {
                "longer than is allowed: launch with less --time or another --partition"
            }
            "PartitionNodeLimit" | "BadConstraints" => {
                "no node of the partition has that: launch with less, or another --partition"
            }
            // It may be for hours, or for a maintenance that a short job comes before.
            "ReqNodeNotAvail" => {
                "its nodes are down or kept for maintenance: less --time may fit before"
            }
            "InvalidAccount" | "AccountNotAllowed" => "launch with another --account",
            "InvalidQOS" | "QOSNotAllowed" => "launch with another --qos",
            "MaxMemPerLimit" => "more than one job may have: launch with less --memory",
            limit => return of_limit(limit).map(str::to_owned),
        };
        Some(advice.to_owned())
    }
}

/// The word itself: Slurm may list nodes behind it, and joins the words of a
/// sentence with `_` or not, by its version.
fn word(reason: &str) -> String {
    let word = reason.split(',').next().unwrap_or_default();
    word.trim().replace('_', " ")
}

/// What to do about a limit of an account (`Assoc…`) or a quality of service
/// (`QOS…`), of which there is one for each thing that can be counted.
fn of_limit(limit: &str) -> Option<&'static str> {
    let named = ["Assoc", "QOS", "Max"];
    if !named.iter().any(|whose| limit.starts_with(whose)) {
        return None;
    }
    let says = |what: &str| limit.contains(what);
    Some(if says("WallDuration") {
        "longer than is allowed: launch with less --time"
    } else if says("PerJob") || says("PerNode") {
        "more than one job may have: launch with less, or another --qos"
    } else if says("QOSMin") {
        "less than the QOS is for: launch with more, or another --qos"
    } else if (says("Minutes") && !says("RunMinutes")) || says("GrpWall") {
        "the share is used up: launch with another --account, or ask the site"
    } else if says("Grp") {
        "your group has its share: it waits for the others' jobs, or launch with another --account"
    } else if says("PerUser") || says("PerAccount") || says("JobsLimit") || says("JobLimit") {
        "you have your share: it waits for your other jobs (squeue --me)"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(reason: &str) -> Option<String> {
        let line = format!("17|PENDING|0:00|8:00:00||{reason}|(null)|(null)|envspec-lab");
        Job::parse(&line).unwrap().advice()
    }

    #[test]
    fn a_job_that_waits_for_its_turn_needs_no_advice() {
        for reason in [
            "None",
            "Priority",
            "Resources",
            "BeginTime",
            "Dependency",
            "Licenses",
            "PartitionConfig",
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
            "",
        ] {
            assert_eq!(advice(reason), None, "{reason}");
        }
    }

    #[test]
    fn where_waiting_does_not_help_it_says_what_does() {
        for (reason, what) in [
            ("JobHeldUser", "scontrol release 17"),
            ("JobHeldAdmin", "ask there"),
            ("launch failed requeued held", "scontrol release 17"),
            ("job_requeued_in_held_state", "scontrol release 17"),
            ("DependencyNeverSatisfied", "stop it"),
            ("PartitionDown", "--partition"),
            ("PartitionInactive", "--partition"),
            ("PartitionNodeLimit", "--partition"),
            ("PartitionTimeLimit", "--time"),
            ("BadConstraints", "less"),
            ("ReqNodeNotAvail, UnavailableNodes:med0101", "--time"),
            ("ReqNodeNotAvail, Reserved for maintenance", "--time"),
            ("InvalidAccount", "--account"),
            ("AccountNotAllowed", "--account"),
            ("InvalidQOS", "--qos"),
            ("QOSNotAllowed", "--qos"),
            ("MaxMemPerLimit", "--memory"),
            ("AssocGrpCpuLimit", "your group"),
            ("QOSGrpNodeLimit", "your group"),
            ("AssocGrpCPUMinutesLimit", "used up"),
            ("AssocGrpCPURunMinutesLimit", "your group"),
            ("QOSGrpWallLimit", "used up"),
            ("QOSMaxCpuPerUserLimit", "your other jobs"),
            ("QOSMaxJobsPerUserLimit", "your other jobs"),
            ("AssocMaxJobsLimit", "your other jobs"),
            ("QOSMaxMemoryPerJob", "one job may have"),
            ("QOSMaxCpuPerJobLimit", "one job may have"),
            ("AssocMaxWallDurationPerJobLimit", "--time"),
            ("QOSMinGRES", "--qos"),
        ] {
            let advice = advice(reason).unwrap_or_default();
            assert!(advice.contains(what), "{reason}: {advice}");
        }
    }
}
