//! Edits of a spec: what was not meant to change has not changed, byte for byte.

use proptest::prelude::*;

use envspec::spec::SourceText;
use envspec::spec::edit::{
    EditError, add_dependency, add_kernel, remove_dependency, remove_kernel,
};
use miette::Diagnostic as _;

fn source(text: &str) -> SourceText {
    SourceText::from_text("lab.yaml", text).unwrap()
}

fn added(text: &str, requirement: &str) -> String {
    add_dependency(&source(text), requirement).unwrap()
}

/// Adds and removes, and both ways the text is what is expected.
fn there_and_back(before: &str, requirement: &str, after: &str) {
    let name = requirement.split_whitespace().next().unwrap();
    assert_eq!(added(before, requirement), after);
    assert_eq!(remove_dependency(&source(after), name).unwrap(), before);
}

#[test]
fn a_requirement_joins_a_list_in_lines_with_its_indentation() {
    there_and_back(
        "dependencies: # all\n    - python 3.12.*   # pinned\n    # numbers\n    - numpy\n\n# end\nsite: bih\n",
        "scipy >=1.12,<2",
        "dependencies: # all\n    - python 3.12.*   # pinned\n    # numbers\n    - numpy\n    - scipy >=1.12,<2\n\n# end\nsite: bih\n",
    );
    there_and_back(
        "dependencies:\n- python",
        "scipy",
        "dependencies:\n- python\n- scipy",
    );
}

#[test]
fn a_requirement_joins_a_list_in_brackets() {
    there_and_back(
        "dependencies: [python 3.12.*, numpy] # few\nname: x\n",
        "scipy 1.*",
        "dependencies: [python 3.12.*, numpy, scipy 1.*] # few\nname: x\n",
    );
    there_and_back("dependencies: []\n", "scipy", "dependencies: [scipy]\n");
    there_and_back(
        "{dependencies: [a], name: x}",
        "scipy",
        "{dependencies: [a, scipy], name: x}",
    );
    assert_eq!(
        added("dependencies: [a]\n", "scipy >=1.12,<2"),
        "dependencies: [a, 'scipy >=1.12,<2']\n",
        "a comma in brackets needs quotes"
    );
}

#[test]
fn brackets_over_several_lines_get_a_line_more() {
    assert_eq!(
        added("dependencies: [\n  a,  # one\n  b # two\n]\n", "scipy"),
        "dependencies: [\n  a,  # one\n  b, # two\n  scipy\n]\n"
    );
    there_and_back(
        "dependencies: [\r\n  a,\r\n]\r\n",
        "scipy",
        "dependencies: [\r\n  a,\r\n  scipy,\r\n]\r\n",
    );
}

#[test]
fn windows_line_ends_stay() {
    there_and_back(
        "name: x\r\ndependencies:\r\n  - python # p\r\nsite: bih\r\n",
        "scipy",
        "name: x\r\ndependencies:\r\n  - python # p\r\n  - scipy\r\nsite: bih\r\n",
    );
}

#[test]
fn a_list_that_is_not_there_is_made() {
    there_and_back(
        "name: x # me\n# end\n",
        "scipy",
        "name: x # me\n# end\ndependencies:\n- scipy\n",
    );
    assert_eq!(
        added("name: x\ndependencies:\n# end\nsite: bih\n", "a"),
        "name: x\ndependencies:\n  - a\n# end\nsite: bih\n"
    );
}

#[test]
fn a_package_that_is_there_gets_the_new_requirement_in_its_place() {
    let before =
        "dependencies:\n  - 'NumPy 1.*' # old\n  - python\n  - pip: [x]\n  - conda-forge::scipy\n";
    assert_eq!(
        added(before, "numpy >=2"),
        "dependencies:\n  - numpy >=2 # old\n  - python\n  - pip: [x]\n  - conda-forge::scipy\n"
    );
    assert_eq!(
        added(before, "scipy"),
        "dependencies:\n  - 'NumPy 1.*' # old\n  - python\n  - pip: [x]\n  - scipy\n"
    );
    assert_eq!(
        added("dependencies: [a >=1, b, a <3]\n", "a 2.*"),
        "dependencies: [a 2.*, b]\n",
        "one requirement is left"
    );
}

#[test]
fn what_is_no_requirement_is_not_added() {
    for text in ["", ">=2", "numpy >>2", "a\n- b", "numpy[x=1]"] {
        let error = add_dependency(&source("name: x\n"), text).unwrap_err();
        assert!(
            matches!(error, EditError::Requirement { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_kernel_is_added_once_and_removed_with_its_options() {
    let before =
        "kernels:\n  - python\n  - r: # stats\n      display_name: R\n  # last\n  - bash\n";
    let after = add_kernel(&source(before), "julia").unwrap();
    assert_eq!(after, before.to_owned() + "  - julia\n");
    assert_eq!(add_kernel(&source(&after), "Julia").unwrap(), after);
    assert_eq!(
        remove_kernel(&source(before), "r").unwrap(),
        "kernels:\n  - python\n  # last\n  - bash\n"
    );
    assert!(matches!(
        add_kernel(&source(before), "a b"),
        Err(EditError::KernelName { .. })
    ));
}

#[test]
fn what_is_not_there_is_not_removed_and_the_help_says_where_it_is() {
    let text = "dependencies: [numpy]\nkernels:\n  - r: {dependencies: [r-tidyverse]}\n";
    let help = |error: EditError| error.help().unwrap().to_string();
    let nmupy = remove_dependency(&source(text), "nmupy").unwrap_err();
    assert_eq!(nmupy.to_string(), "`nmupy` is not in `dependencies`");
    assert_eq!(help(nmupy), "did you mean `numpy`?");
    let tidyverse = remove_dependency(&source(text), "r-tidyverse").unwrap_err();
    assert_eq!(
        help(tidyverse),
        "the kernel `r` asks for it: edit its own `dependencies`"
    );
    let julia = remove_kernel(&source(text), "julia").unwrap_err();
    assert_eq!(help(julia), "the kernels are r");
}

#[test]
fn a_comment_in_an_emptied_list_stays() {
    let text = "kernels: # for Ada\n  - r # hers\nsite: bih\n";
    let removed = remove_kernel(&source(text), "r").unwrap();
    assert_eq!(removed, "kernels: [] # for Ada\nsite: bih\n");
}

#[test]
fn forms_that_cannot_be_edited_safely_are_refused() {
    let anchored = "dependencies: [&a numpy, scipy]\nvariables: {A: *a}\n";
    assert_eq!(
        remove_dependency(&source(anchored), "numpy").unwrap(),
        "dependencies: [scipy]\nvariables: {A: &a numpy}\n",
        "the alias keeps its value"
    );
    let alias = "variables: {A: &a numpy}\ndependencies: [*a]\n";
    assert!(matches!(
        add_dependency(&source(alias), "numpy 2.*"),
        Err(EditError::Form { .. })
    ));
    let block = "dependencies:\n  - >-\n    numpy\n    2.*\n";
    assert!(matches!(
        add_dependency(&source(block), "numpy 3.*"),
        Err(EditError::Form { .. })
    ));
}

#[test]
fn a_spec_with_mistakes_is_not_edited() {
    let error = add_kernel(&source("name: [x]\n"), "r").unwrap_err();
    assert_eq!(error.to_string(), "`name` must be a text");
}

/// A list of requirements in one of the ways in which people write them.
fn some_spec() -> impl Strategy<Value = String> {
    let item = prop::sample::select(vec![
        "python 3.12.*",
        "numpy",
        "'r-base >=4'",
        "\"blas=*=mkl\"",
        "conda-forge::zlib",
        "pip: [x]",
    ]);
    let tail = prop::sample::select(vec!["", " # why", "\n# between", "\n\n"]);
    let items = prop::collection::vec((item, tail), 1..6);
    let end = prop::sample::select(vec!["", "\n", "\nsite: bih\n", "\n\n# end\nsite: bih"]);
    (items, 0..6_usize, any::<bool>(), end).prop_map(|(items, indent, windows, end)| {
        let mut seen_pip = false;
        let mut text = "name: x # name\ndependencies:".to_owned();
        for (item, tail) in items {
            if item == "pip: [x]" && std::mem::replace(&mut seen_pip, true) {
                continue;
            }
            text += "\n";
            text += &" ".repeat(indent);
            text += "- ";
            text += item;
            text += tail;
        }
        text += end;
        if windows {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    })
}

proptest! {
    #[test]
    fn adding_and_removing_gives_the_text_back(text in some_spec()) {
        let with = add_dependency(&source(&text), "zz-new >=1,<2").unwrap();
        let untouched: Vec<&str> = with.lines().filter(|line| !line.contains("zz-new")).collect();
        prop_assert_eq!(untouched, text.lines().collect::<Vec<_>>());
        prop_assert_eq!(remove_dependency(&source(&with), "zz-new").unwrap(), text.clone());
        let with = add_kernel(&source(&text), "julia").unwrap();
        prop_assert_eq!(remove_kernel(&source(&with), "julia").unwrap(), text);
    }
}
