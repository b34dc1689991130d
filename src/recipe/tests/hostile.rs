//! Values that try to become syntax, through the real readers.

use std::process::Command;

use proptest::prelude::*;

use super::{Case, file, has};
use crate::recipe::shell::{CommandLine, Word, quote};
use crate::recipe::{Format, RecipeError};
use crate::site::{HostName, Sites, UserName};

/// Text made of what shells, ssh and Slurm give a meaning to.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\n".to_owned()),
        Just("\r\t\u{1b}[2J".to_owned()),
        Just("$(touch /tmp/envspec-was-here)".to_owned()),
        Just("`id`".to_owned()),
        Just("${HOME}".to_owned()),
        Just("; exit 7 #".to_owned()),
        Just("&& exit 7 ||".to_owned()),
        Just("\nEND_OF_START_SCRIPT_TEXT\n".to_owned()),
        Just("\nEND_OF_PROBE\n".to_owned()),
        Just("-oProxyCommand=id".to_owned()),
        Just("--".to_owned()),
        Just("~".to_owned()),
        Just("*?[a]{b,c}".to_owned()),
        Just("%h %j =x !! <(id) >x".to_owned()),
        Just("gr\u{fc}\u{df}e \u{1f600}\u{202e}".to_owned()),
        Just("!! !x \u{2191}\u{c1}".to_owned()),
        "[ -~]{0,12}".prop_map(String::from),
    ];
    proptest::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

/// The shells that a user may log in with, as far as they are here.
pub(crate) fn login_shells() -> Vec<&'static str> {
    let others = ["zsh", "tcsh", "fish"]
        .into_iter()
        .filter(|shell| has(shell));
    ["sh", "bash"].into_iter().chain(others).collect()
}

/// What bash prints when it runs a text.
fn bash(text: &str) -> Vec<u8> {
    let script = file(text);
    let output = Command::new("bash").arg(script.path()).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{text}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_word_reaches_a_program_as_it_was(words in proptest::collection::vec(hostile(), 0..5)) {
        let mut command = vec![Word::text("printf"), Word::text("%s\\0"), Word::text("begin")];
        command.extend(words.iter().map(Word::text));
        let line = CommandLine::Run(command).quoted();
        prop_assert!(!line.contains('\n'), "{line:?} is more than one line");
        let mut expected = "begin\0".to_owned();
        for word in &words {
            expected.push_str(word);
            expected.push('\0');
        }
        prop_assert_eq!(bash(&line), expected.into_bytes());
    }

    #[test]
    fn a_word_for_another_host_survives_both_shells(word in hostile()) {
        let line = CommandLine::Run(vec![Word::text("printf"), Word::text("%s"), Word::text(&word)]);
        // In place of ssh: what it does with its last arguments.
        let stub = "ssh() { shift; bash -c \"$*\"; }\n";
        let printed = bash(&format!("{stub}{}", line.on("host").quoted()));
        prop_assert_eq!(printed, word.into_bytes());
    }

    #[test]
    fn what_a_spec_says_stays_a_value_in_the_script_and_in_the_shell_form(
        folder in hostile(), value in hostile(),
    ) {
        // Control characters in a folder are the site's judge to refuse.
        let folder: String = folder.chars().filter(|c| !c.is_control()).collect();
        let mut case = Case::at("slurm");
        let span = crate::spec::Span { offset: 0, len: 0 };
        case.launch.root_dir = Some(crate::spec::At { value: folder.clone(), span });
        case.variables.insert("LAB_VALUE".to_owned(), value.clone());
        let recipe = case.recipe();
        let cut = recipe.script.text.find("# --- from here on").unwrap();
        let show = "printf '%s\\0' \"$root_dir\" \"${variables[@]}\" \"${#variables[@]}\"";
        let printed = bash(&format!("{}{show}", &recipe.script.text[..cut]));
        prop_assert_eq!(printed, format!("{folder}\0LAB_VALUE={value}\01\0").into_bytes());
        // The shell form carries the script unchanged.
        let form = recipe.render(Format::Shell);
        let cut = form.rfind("# --- from here on").unwrap();
        let carried = bash(&format!("{}start_script_text", &form[..cut]));
        prop_assert_eq!(carried, recipe.script.text.into_bytes());
    }

    #[test]
    fn a_root_is_refused_or_arrives_as_it_is(name in hostile()) {
        let mut case = Case::at("slurm");
        case.root = format!("/{name}");
        match case.try_recipe() {
            Err(error) => {
                let refused = matches!(error, RecipeError::Path { .. });
                prop_assert!(refused);
                prop_assert!(!error.to_string().contains('\n'), "{error}");
            }
            Ok(recipe) => {
                let form = recipe.render(Format::Shell);
                let cut = form.rfind("# --- from here on").unwrap();
                let stub = "sbatch() { printf '%s\\0' \"$@\"; }; eval \"$submit\"";
                let printed = bash(&format!("{}{stub}", &form[..cut]));
                let root = case.root.trim_end_matches('/');
                let log = format!("--output={root}/sessions/%j.log");
                let expected = format!("{log}\0{root}/sessions/start/envspec-lab.sh\0");
                prop_assert_eq!(String::from_utf8(printed).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_host_or_a_user_is_refused_or_ssh_reads_it_literally(text in hostile()) {
        if let (Some(host), true) = (HostName::new(&text), has("ssh")) {
            let mut case = Case::at("slurm");
            case.site.ssh.hops[0].hosts = vec![host.clone()];
            if let Some(user) = UserName::new(&text) {
                case.users.insert(host.clone(), user);
            }
            let config = file(&case.recipe().render(Format::SshConfig));
            let output = Command::new("ssh")
                .args(["-G", "-F", config.path().to_str().unwrap(), "envspec-site-slurm"])
                .output()
                .unwrap();
            let settings = String::from_utf8(output.stdout).unwrap();
            let wanted = format!("hostname {}", host.as_str().to_lowercase());
            prop_assert!(settings.lines().any(|line| line.to_lowercase() == wanted), "{settings}");
        }
    }

    #[test]
    fn no_text_of_a_site_can_leave_its_comment(title in hostile(), when in hostile()) {
        let yaml = format!(
            "name: x\ntitle: {}\nssh: {{hops: [{{hosts: [a], only_when: {}}}, {{hosts: [b]}}]}}\nscheduler: {{slurm: {{}}}}\n",
            serde_json::to_string(&title).unwrap(),
            serde_json::to_string(&when).unwrap(),
        );
        let sites = Sites::builtin().with_overrides([("x.yaml".to_owned(), yaml)]);
        let Ok(site) = sites.find(Some("x")) else { return Ok(()) };
        let mut case = Case::at("slurm");
        case.site = site;
        let recipe = case.recipe();
        let form = recipe.render(Format::Shell);
        let cut = form.rfind("# --- from here on").unwrap();
        prop_assert_eq!(bash(&form[..cut]), b"");
        for line in recipe.render(Format::SshConfig).lines() {
            let known = ["Host ", "  HostName ", "  User ", "  ProxyJump ", "  Control",
                "  ExitOn", "  ServerAlive", "#", "  #"];
            prop_assert!(line.is_empty() || known.iter().any(|start| line.starts_with(start)), "{line}");
        }
    }
}

#[test]
fn nothing_ran_while_hostile_values_were_printed() {
    // The canary of the strategy above; also the word that would plant it.
    assert_eq!(
        bash(&format!(
            "printf %s {}",
            quote("$(touch /tmp/envspec-was-here)")
        ))
        .len(),
        30
    );
    assert!(!std::path::Path::new("/tmp/envspec-was-here").exists());
}

#[test]
fn paths_and_variables_that_no_script_can_hold_are_refused() {
    for path in [
        "relative",
        "~/x",
        "/a\nb",
        "/a\u{1b}b",
        "/a:b",
        "/a\\b",
        "/a%hb",
        "/a$b",
        "/a\"b",
        "/a'b",
        "/a`b",
        "",
    ] {
        let mut case = Case::at("local");
        case.generation = path.to_owned();
        assert!(
            matches!(case.try_recipe(), Err(RecipeError::Path { .. })),
            "{path:?}"
        );
    }
    for (name, value) in [
        ("A-B", ""),
        ("1A", ""),
        ("", ""),
        ("A=B", ""),
        ("A;id", ""),
        ("A", "\0"),
    ] {
        let mut case = Case::at("local");
        case.variables.insert(name.to_owned(), value.to_owned());
        assert!(
            matches!(case.try_recipe(), Err(RecipeError::Variable { .. })),
            "{name:?}"
        );
    }
}
