//! README's five stories, run as they stand there: each line that ends with
//! `# → …` prints that, within five seconds.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What a line prints is compared word by word; asked again until it is right.
const EXPECT: &str = r#"
expect() {
    local tries=0 actual
    until actual=$(eval "$1" 2>&1 | xargs) && [ "$actual" = "$2" ]; do
        tries=$((tries + 1))
        [ $tries -lt 50 ] || { echo "$1 printed '$actual' instead of '$2'" >&2; exit 1; }
        sleep 0.1
    done
}
"#;

/// The shell blocks of README's stories, as a script that fails when one of them does not hold.
fn script(readme: &str, api: &str) -> String {
    let stories = readme.split("## Five stories by hand").nth(1).expect("the stories");
    let stories = stories.split("\n## ").next().expect("their end");
    let blocks = stories.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let lines = blocks.flat_map(str::lines).map(|line| {
        let line = line.replace("http://127.0.0.1:8080", api);
        match line.split_once("# → ") {
            Some((command, printed)) => {
                let quoted = command.trim().replace('\'', r"'\''");
                format!("expect '{quoted}' '{printed}'")
            }
            None => line,
        }
    });
    let lines: Vec<String> = lines.collect();
    format!("set -euo pipefail\n{EXPECT}{}\n", lines.join("\n"))
}

fn bash(dir: &Path, script: &str) -> std::process::Output {
    let mut command = Command::new("bash");
    command.current_dir(dir).args(["-c", script]).output().expect("bash, curl and jq are there")
}

#[test]
fn the_stories_of_the_readme_are_true() {
    let dir = testkit::data_dir();
    let mut up =
        testkit::Up::start(env!("CARGO_BIN_EXE_hansang"), &dir.path().join(".hansang"), |_| {});
    let api = format!("http://{}", up.http);
    let began = Instant::now();
    while !bash(dir.path(), &format!("curl -sf {api}/v1/products")).status.success() {
        assert!(up.program.ended().is_none(), "hansang up ended");
        assert!(began.elapsed() < Duration::from_mins(1), "hansang up is not ready");
    }
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = fs::read_to_string(readme).expect("README.md");
    let script = script(&readme, &api);
    assert!(script.matches("\nexpect ").count() >= 15, "{script}");
    let told = bash(dir.path(), &script);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

#[test]
fn a_story_that_is_not_true_is_found_out() {
    let readme = "## Five stories by hand\n```sh\necho one        # → two\n```\n";
    let dir = tempfile::tempdir_in(testkit::scratch()).expect("a directory");
    let told = bash(dir.path(), &script(readme, "").replace("-lt 50", "-lt 1"));
    assert!(!told.status.success());
    let complaint = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(complaint.contains("printed 'one' instead of 'two'"), "{complaint}");
}
