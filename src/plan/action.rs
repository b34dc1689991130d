//! The actions, and the one function that decides on them.

use serde::Serialize;

use super::cost::{Cost, Room};
use super::desired::{Desired, GenerationId, Observed};
use crate::lock::{Change, changes};

/// One thing to do. In the order of [`Plan::actions`], every state between two
/// actions is a good one: what is current works before, between and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Write the lock beside the spec.
    WriteLock,
    /// Build the generation: fetch, link, set up its kernels, write its receipt.
    BuildGeneration {
        /// Which.
        generation: GenerationId,
        /// How many packages it has.
        packages: usize,
        /// What that takes.
        #[serde(flatten)]
        cost: Cost,
        /// What is left for it.
        left: Room,
        /// Paths of the Nix store that it refers to, which are fetched or built.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        store_paths: Vec<String>,
    },
    /// Make the generation current.
    Switch {
        /// The generation that is current now.
        from: Option<String>,
        /// The one that will be.
        to: GenerationId,
    },
    /// Put a kernelspec into the user's folder, or renew it.
    RegisterKernel {
        /// The kernel's name in the spec.
        kernel: String,
        /// The kernelspec's name.
        registered: String,
    },
    /// Take a kernelspec of an earlier generation out of the user's folder.
    UnregisterKernel {
        /// The kernelspec's name.
        registered: String,
    },
}

/// What an `apply` or a `rollback` would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The form of this document.
    pub version: u32,
    /// The environment.
    pub environment: String,
    /// The current generation.
    pub from: Option<String>,
    /// The desired one.
    pub to: GenerationId,
    /// How the packages differ between the two.
    pub packages: Vec<Change>,
    /// What to do, in order; empty if there is nothing to do.
    pub actions: Vec<Action>,
}

/// Decides what leads from the observed to the desired state.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut actions = Vec::new();
    if !observed.generation_exists {
        actions.push(Action::BuildGeneration {
            generation: desired.generation.clone(),
            packages: desired.packages.len(),
            cost: observed.cost,
            left: observed.room,
            store_paths: desired.store_paths.clone(),
        });
    }
    // After the generation: if that can't be built, the lock is as before.
    if !observed.lock_written {
        actions.push(Action::WriteLock);
    }
    let (from, before) = match &observed.current {
        Some((generation, packages)) => (Some(generation.clone()), packages.clone()),
        None => (None, Vec::new()),
    };
    if from.as_deref() != Some(desired.generation.as_str()) {
        actions.push(Action::Switch {
            from: from.clone(),
            to: desired.generation.clone(),
        });
    }
    for kernel in &desired.kernels {
        let is_right = observed.registered.iter().any(|known| {
            known.name == kernel.registered && known.generation == desired.generation.as_str()
        });
        if !is_right {
            actions.push(Action::RegisterKernel {
                kernel: kernel.name.clone(),
                registered: kernel.registered.clone(),
            });
        }
    }
    for known in &observed.registered {
        if !desired
            .kernels
            .iter()
            .any(|kernel| kernel.registered == known.name)
        {
            actions.push(Action::UnregisterKernel {
                registered: known.name.clone(),
            });
        }
    }
    Plan {
        version: 1,
        environment: desired.environment.to_string(),
        from,
        to: desired.generation.clone(),
        packages: changes(before, desired.packages.clone()),
        actions,
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use proptest::prelude::*;
    use rattler_conda_types::Subdir;

    use super::{Action, plan};
    use crate::lock::PackageId;
    use crate::plan::{
        Cost, Desired, DesiredKernel, GenerationId, Observed, RegisteredKernel, Room,
    };
    use crate::spec::EnvName;

    fn desired(lock: &str, kernels: &[&str]) -> Desired {
        let environment = EnvName::new("lab").unwrap();
        let platform = Subdir::from_str("linux-64").unwrap();
        Desired {
            generation: GenerationId::new(&environment, platform, lock, "", ""),
            environment,
            store_paths: Vec::new(),
            packages: vec![PackageId {
                name: "python".to_owned(),
                version: "3.12.1".to_owned(),
                build: lock.to_owned(),
                isolated: None,
            }],
            kernels: kernels
                .iter()
                .map(|name| DesiredKernel {
                    name: (*name).to_owned(),
                    registered: format!("lab-{name}"),
                })
                .collect(),
        }
    }

    /// Carries a plan out in memory.
    fn carry_out(desired: &Desired, mut observed: Observed) -> Observed {
        for action in plan(desired, &observed).actions {
            match action {
                Action::WriteLock => observed.lock_written = true,
                Action::BuildGeneration { .. } => observed.generation_exists = true,
                Action::Switch { to, .. } => {
                    observed.current = Some((to.to_string(), desired.packages.clone()));
                }
                Action::RegisterKernel { registered, .. } => {
                    observed.registered.retain(|known| known.name != registered);
                    observed.registered.push(RegisteredKernel {
                        name: registered,
                        generation: desired.generation.to_string(),
                    });
                }
                Action::UnregisterKernel { registered } => {
                    observed.registered.retain(|known| known.name != registered);
                }
            }
        }
        observed
    }

    fn kernel_names() -> impl Strategy<Value = Vec<&'static str>> {
        proptest::sample::subsequence(vec!["python", "r", "bash", "julia"], 0..=4)
    }

    proptest! {
        #[test]
        fn carrying_a_plan_out_leaves_nothing_to_do(
            lock in "[a-c]",
            then in "[a-c]",
            kernels in kernel_names(),
            earlier in kernel_names(),
            exists in any::<bool>(),
            lock_written in any::<bool>(),
            fresh in any::<bool>(),
        ) {
            let wanted = desired(&lock, &kernels);
            let before = desired(&then, &earlier);
            let observed = Observed {
                current: (!fresh).then(|| (before.generation.to_string(), before.packages.clone())),
                generation_exists: exists,
                lock_written,
                cost: Cost::default(),
                room: Room::default(),
                registered: before.kernels.iter().map(|kernel| RegisteredKernel {
                    name: kernel.registered.clone(),
                    generation: before.generation.to_string(),
                }).collect(),
            };
            let after = carry_out(&wanted, observed);
            prop_assert_eq!(plan(&wanted, &after).actions, vec![]);
            prop_assert_eq!(plan(&wanted, &after).packages, vec![]);
        }
    }

    #[test]
    fn a_generation_is_built_before_it_is_current_and_current_before_its_kernels() {
        let plan = plan(&desired("a", &["r"]), &Observed::default());
        let kinds: Vec<_> = plan
            .actions
            .iter()
            .map(|action| serde_json::to_value(action).unwrap()["action"].clone())
            .collect();
        assert_eq!(
            kinds,
            [
                "build-generation",
                "write-lock",
                "switch",
                "register-kernel"
            ]
        );
    }

    #[test]
    fn the_id_depends_on_every_part_and_parts_do_not_flow_together() {
        let name = EnvName::new("lab").unwrap();
        let platform = Subdir::from_str("linux-64").unwrap();
        let id =
            |lock, kernels, variables| GenerationId::new(&name, platform, lock, kernels, variables);
        assert_ne!(id("a", "b", ""), id("ab", "", ""));
        assert_ne!(id("a", "b", ""), id("a", "", "b"));
        assert_eq!(id("a", "b", "c"), id("a", "b", "c"));
        let elsewhere = Subdir::from_str("osx-arm64").unwrap();
        assert_ne!(
            id("a", "", ""),
            GenerationId::new(&name, elsewhere, "a", "", "")
        );
    }
}
