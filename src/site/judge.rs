//! What a spec asks, held against what a site gives.
//!
//! The result is a launch in which nothing is left open, or the first thing
//! that the site would refuse, with the place in the spec. It knows only what
//! the site's file says; a scheduler may still refuse what passes here.

use miette::Diagnostic;
use thiserror::Error;

use super::model::{Partition, Site, Slurm};
use super::units::{SlurmName, did_you_mean, slurm_time};
use crate::spec::{At, Interface, Launch, MemorySize, Span, WallTime};

/// A launch in which the site's defaults are filled in and the names are
/// checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedLaunch {
    /// The time limit; `None` leaves it to the partition.
    pub time: Option<WallTime>,
    /// Memory of the whole job; `None` leaves it to the partition.
    pub memory: Option<MemorySize>,
    /// Cores.
    pub cpus: u32,
    /// GPUs.
    pub gpus: u32,
    /// The partitions that may take it; empty lets the site route.
    pub partitions: Vec<SlurmName>,
    /// The account that pays.
    pub account: Option<SlurmName>,
    /// The quality of service.
    pub qos: Option<SlurmName>,
    /// The front end.
    pub interface: Interface,
    /// The folder that the server shows; relative to the home on the cluster.
    pub root_dir: Option<String>,
    /// The time without activity after which the server ends itself.
    pub idle: Option<WallTime>,
    /// Whether it may run in a terminal too.
    pub interactive: InteractiveForm,
}

/// Whether a launch may run under `srun --pty` as well as under `sbatch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InteractiveForm {
    /// It may.
    Allowed,
    /// The site forbids it, for this reason.
    Forbidden(String),
}

/// Something in a spec that the site would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Error, Diagnostic)]
#[error("{reason}")]
pub struct SiteFault {
    /// Where the spec asks for it.
    #[label("asked here")]
    pub span: Span,
    /// What the site refuses.
    pub reason: String,
    /// What it would take.
    #[help]
    pub help: String,
}

impl Site {
    /// Fills in the site's defaults and refuses what the site would refuse.
    ///
    /// A site without a scheduler takes every launch: time, memory and
    /// partition mean nothing there, and the same spec works at both.
    pub fn judge(&self, launch: &Launch) -> Result<ResolvedLaunch, SiteFault> {
        if let Some(folder) = &launch.root_dir
            && folder.value.chars().any(char::is_control)
        {
            return Err(SiteFault {
                span: folder.span,
                reason: "the name of a folder holds a control character".to_owned(),
                help: "write `root_dir` without line breaks, tabs or escapes".to_owned(),
            });
        }
        let open = ResolvedLaunch {
            time: launch.time.as_ref().map(|at| at.value),
            memory: launch.memory.as_ref().map(|at| at.value),
            cpus: launch.cpus.as_ref().map_or(1, |at| at.value),
            gpus: launch.gpus.as_ref().map_or(0, |at| at.value),
            partitions: Vec::new(),
            account: None,
            qos: None,
            interface: launch
                .interface
                .as_ref()
                .map(|at| at.value)
                .unwrap_or_default(),
            root_dir: launch.root_dir.as_ref().map(|at| at.value.clone()),
            idle: launch.idle.as_ref().map(|at| at.value),
            interactive: InteractiveForm::Allowed,
        };
        match self.slurm() {
            None => Ok(open),
            Some(slurm) => slurm.judge(launch, open, self.name.as_str()),
        }
    }
}

impl Slurm {
    /// The longest job that any partition takes; `None` if that is unknown.
    pub fn longest(&self) -> Option<WallTime> {
        let times: Option<Vec<_>> = self.partitions.values().map(|known| known.time).collect();
        times?.into_iter().max()
    }

    fn judge(
        &self,
        launch: &Launch,
        mut open: ResolvedLaunch,
        site: &str,
    ) -> Result<ResolvedLaunch, SiteFault> {
        open.time = open.time.or(self.defaults.time);
        open.memory = open.memory.or(self.defaults.memory);
        if launch.cpus.is_none() {
            open.cpus = self.defaults.cpus.unwrap_or(open.cpus);
        }
        if let Some(cpus) = launch.cpus.as_ref().filter(|at| at.value == 0) {
            return Err(SiteFault {
                span: cpus.span,
                reason: "a job needs at least one core".to_owned(),
                help: "write `cpus: 1`, or leave the key out".to_owned(),
            });
        }
        open.account = launch
            .account
            .as_ref()
            .map(|at| name(&at.value, at.span, "account"))
            .transpose()?;
        open.qos = launch
            .qos
            .as_ref()
            .map(|at| name(&at.value, at.span, "qos"))
            .transpose()?;
        if let Some(asked) = &launch.partition {
            open.partitions = self.partitions_of(asked, site)?;
        }
        self.judge_time(launch, &mut open, site)?;
        if open.gpus > 0
            && let (Some(limit), Some(time)) = (self.interactive_gpu_time, open.time)
            && time > limit
        {
            open.interactive = InteractiveForm::Forbidden(format!(
                "{site} ends interactive jobs with a GPU after {}, this one asks {}",
                slurm_time(limit),
                slurm_time(time)
            ));
        }
        Ok(open)
    }

    /// Slurm takes a list (`short,medium`) and starts the job in whichever is
    /// free first.
    fn partitions_of(&self, asked: &At<String>, site: &str) -> Result<Vec<SlurmName>, SiteFault> {
        asked
            .value
            .split(',')
            .map(|part| {
                let part = name(part, asked.span, "partition")?;
                let routing = self.routing.as_ref() == Some(&part);
                if routing || self.partitions.is_empty() || self.partitions.contains_key(&part) {
                    return Ok(part);
                }
                let known: Vec<_> = self.partitions.keys().map(SlurmName::as_str).collect();
                let meant = did_you_mean(part.as_str(), known.iter().copied());
                Err(SiteFault {
                    span: asked.span,
                    reason: format!("{site} has no partition `{part}`"),
                    help: format!("{meant}Known: {}", known.join(", ")),
                })
            })
            .collect()
    }

    fn judge_time(
        &self,
        launch: &Launch,
        open: &mut ResolvedLaunch,
        site: &str,
    ) -> Result<(), SiteFault> {
        // The routing partition takes what any partition takes.
        let routed = open
            .partitions
            .iter()
            .any(|name| Some(name) == self.routing.as_ref());
        let limit = if open.partitions.is_empty() || routed {
            self.longest()
        } else {
            let limits = open
                .partitions
                .iter()
                .map(|name| self.partitions.get(name)?.time);
            limits
                .collect::<Option<Vec<_>>>()
                .and_then(|limits| limits.into_iter().min())
        };
        let (Some(limit), Some(time)) = (limit, open.time) else {
            return Ok(());
        };
        if time <= limit {
            return Ok(());
        }
        let Some(asked) = &launch.time else {
            // The site's default, not the user's wish: the partition's limit is
            // what a user of that partition expects.
            open.time = Some(limit);
            return Ok(());
        };
        let place = match open.partitions.as_slice() {
            [] => site.to_owned(),
            names => {
                let names: Vec<_> = names.iter().map(SlurmName::as_str).collect();
                format!("the partition {} of {site}", names.join(","))
            }
        };
        let mut help = format!("ask for {} or less", slurm_time(limit));
        let long_enough = |(name, known): (&SlurmName, &Partition)| {
            known
                .time
                .is_none_or(|limit| time <= limit)
                .then(|| name.to_string())
        };
        let longer: Vec<_> = self.partitions.iter().filter_map(long_enough).collect();
        if !longer.is_empty() {
            help = format!("{help}, or for the partition {}", longer.join(", "));
        }
        Err(SiteFault {
            span: asked.span,
            reason: format!(
                "{place} ends jobs after {}, this one asks {}",
                slurm_time(limit),
                slurm_time(time)
            ),
            help,
        })
    }
}

fn name(text: &str, span: Span, key: &str) -> Result<SlurmName, SiteFault> {
    SlurmName::new(text).ok_or_else(|| SiteFault {
        span,
        reason: format!(
            "`{}` is no name that Slurm has for a {key}",
            text.escape_debug()
        ),
        help: "letters, digits, `.`, `_`, `-`, `:`, `@` and `+` can stand in it".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Sites;

    const PLACE: Span = Span { offset: 7, len: 3 };

    #[expect(
        clippy::unnecessary_wraps,
        reason = "every field that it fills is optional"
    )]
    fn at<T>(value: T) -> Option<At<T>> {
        Some(At { value, span: PLACE })
    }

    fn bih(launch: &Launch) -> Result<ResolvedLaunch, SiteFault> {
        Sites::builtin().find(Some("bih")).unwrap().judge(launch)
    }

    const HOUR: u64 = 3_600;

    #[test]
    fn an_empty_launch_gets_the_sites_defaults() {
        let open = bih(&Launch::default()).unwrap();
        assert_eq!(open.time, Some(WallTime(8 * HOUR)));
        assert_eq!(open.memory, Some(MemorySize(8 << 30)));
        assert_eq!((open.cpus, open.gpus), (2, 0));
        assert_eq!(open.partitions, []);
        assert_eq!(open.interactive, InteractiveForm::Allowed);
    }

    #[test]
    fn a_job_longer_than_its_partition_is_refused_with_those_that_are_long_enough() {
        let fault = bih(&Launch {
            time: at(WallTime(8 * HOUR)),
            partition: at("short".to_owned()),
            ..Launch::default()
        })
        .unwrap_err();
        assert_eq!(fault.span, PLACE);
        assert_eq!(
            fault.reason,
            "the partition short of bih ends jobs after 4:00:00, this one asks 8:00:00"
        );
        assert_eq!(
            fault.help,
            "ask for 4:00:00 or less, or for the partition gpu, highmem, long, medium"
        );
    }

    #[test]
    fn without_a_partition_the_longest_one_is_the_limit() {
        let days = |days: u64| Launch {
            time: at(WallTime(days * 24 * HOUR)),
            ..Launch::default()
        };
        bih(&days(14)).unwrap();
        let fault = bih(&days(15)).unwrap_err();
        assert_eq!(
            fault.reason,
            "bih ends jobs after 14-00:00:00, this one asks 15-00:00:00"
        );
        assert_eq!(fault.help, "ask for 14-00:00:00 or less");
    }

    #[test]
    fn the_default_time_yields_to_a_short_partition() {
        let open = bih(&Launch {
            partition: at("debug".to_owned()),
            ..Launch::default()
        })
        .unwrap();
        assert_eq!(open.time, Some(WallTime(HOUR)));
    }

    #[test]
    fn an_interactive_job_with_a_gpu_ends_after_a_day() {
        let gpu = |hours| Launch {
            gpus: at(1),
            time: at(WallTime(hours * HOUR)),
            ..Launch::default()
        };
        assert_eq!(bih(&gpu(24)).unwrap().interactive, InteractiveForm::Allowed);
        assert_eq!(
            bih(&gpu(25)).unwrap().interactive,
            InteractiveForm::Forbidden(
                "bih ends interactive jobs with a GPU after 1-00:00:00, this one asks 1-01:00:00"
                    .to_owned()
            )
        );
    }

    #[test]
    fn an_unknown_partition_gets_the_nearest_one() {
        let fault = bih(&Launch {
            partition: at("medum".to_owned()),
            ..Launch::default()
        })
        .unwrap_err();
        assert_eq!(fault.reason, "bih has no partition `medum`");
        assert!(
            fault.help.starts_with("did you mean `medium`? "),
            "{}",
            fault.help
        );
    }

    #[test]
    fn a_name_that_could_leave_a_script_line_is_refused() {
        for text in ["gpu\n#SBATCH --x", "gpu; rm", "$(id)", "-p", "", "a b"] {
            for launch in [
                Launch {
                    partition: at(text.to_owned()),
                    ..Launch::default()
                },
                Launch {
                    account: at(text.to_owned()),
                    ..Launch::default()
                },
                Launch {
                    qos: at(text.to_owned()),
                    ..Launch::default()
                },
            ] {
                let slurm = Sites::builtin().find(Some("slurm")).unwrap();
                assert_eq!(slurm.judge(&launch).unwrap_err().span, PLACE, "{text:?}");
            }
        }
    }

    #[test]
    fn this_machine_takes_every_launch() {
        let launch = Launch {
            time: at(WallTime(u64::MAX)),
            partition: at("none; such".to_owned()),
            ..Launch::default()
        };
        Sites::builtin().find(None).unwrap().judge(&launch).unwrap();
    }
}
