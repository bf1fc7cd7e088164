use super::*;

const SMALL: &str = r#"
about = "small"

[vary]
nodes = [8, 16]
how = ["killed", "silent"]

[within]
share = [0.1, 0.2, 0.3]

[[setup]]
grow = { nodes = "$nodes" }

[[step]]
kill = { share = "$share", how = "$how" }
"#;

fn error(text: &str) -> String {
    Plan::parse("test", text).expect_err("this is no scenario").to_string()
}

#[test]
fn variables_make_one_world_for_each_combination_and_rounds_within() {
    let plan = Plan::parse("test", SMALL).expect("it is a scenario");
    assert_eq!((plan.points.len(), plan.points[0].rounds.len()), (4, 3));
    let last = plan.points.last().and_then(|point| point.rounds.last()).expect("there are some");
    assert_eq!(last.settings["nodes"], Setting::Number(16.0));
    assert_eq!(last.settings["how"], Setting::Text("silent".to_owned()));
    let kill = Kill { share: 0.3, how: How::Silent };
    assert_eq!(last.scenario.step, [Step::Kill(kill)]);
}

#[test]
fn combinations_can_be_left_out() {
    let text = SMALL.replace("about", "without = [{ nodes = 8, how = \"silent\" }]\nabout");
    let plan = Plan::parse("test", &text).expect("it is a scenario");
    assert_eq!(plan.points.len(), 3);
    assert!(error(&SMALL.replace("about", "without = [3]\nabout")).contains("without"));
}

#[test]
fn some_of_the_worlds_can_be_chosen() {
    let mut plan = Plan::parse("test", SMALL).expect("it is a scenario");
    plan.keep_only(&Settings::from([("nodes".to_owned(), Setting::parse("16"))]));
    assert_eq!(plan.points.len(), 2);
    plan.keep_only(&Settings::from([("nodes".to_owned(), Setting::parse("17"))]));
    assert!(plan.points.is_empty());
}

#[test]
fn what_nobody_knows_is_refused_with_its_place() {
    for (from, to, named) in [
        ("share = \"$share\",", "shares = 0.5,", "shares"),
        ("kill =", "murder =", "murder"),
        ("about =", "abuot =", "abuot"),
        ("[[setup]]", "[network]\nlos = 0.5\n[[setup]]", "los"),
        ("[[setup]]", "[node]\nparallel = 3\n[[setup]]", "parallel"),
    ] {
        let text = error(&SMALL.replacen(from, to, 1).replace("share = [0.1, 0.2, 0.3]", ""));
        let text = if text.contains("$share") { error(&SMALL.replacen(from, to, 1)) } else { text };
        assert!(text.contains(named), "{named}: {text}");
    }
    let text = error(&SMALL.replace("about =", "abuot ="));
    assert!(text.contains("line 2"), "{text}");
}

#[test]
fn variables_are_given_and_used() {
    let text = error(&SMALL.replace("\"$how\"", "\"$who\""));
    assert!(text.contains("how is given values"), "{text}");
    let text = error(&SMALL.replace("how = [\"killed\", \"silent\"]", ""));
    assert!(text.contains("$how is used"), "{text}");
    let text = error(&SMALL.replace("[8, 16]", "[]"));
    assert!(text.contains("nodes needs a list"), "{text}");
}

#[test]
fn steps_that_cannot_be_are_refused() {
    for (from, to, named) in [
        ("0.1, 0.2, 0.3", "0.1, 1.2", "kill: share is 1.2"),
        ("8, 16", "8, 0", "grow: nodes must be at least 1"),
        ("[[setup]]", "[[step]]\nheal = {}\n[[setup]]", "heal"),
        ("[[setup]]", "[node]\nk = 0\n[[setup]]", "[node]: k is 0"),
        ("[[setup]]", "[network]\nloss = 1.5\n[[setup]]", "[network]: loss is 1.5"),
    ] {
        let changed = SMALL.replace(from, to);
        match Plan::parse("test", &changed) {
            Err(text) => assert!(text.to_string().contains(named), "{named}: {text}"),
            Ok(_) => assert_eq!(named, "heal"),
        }
    }
    let text = error("about = \"none\"\n[[setup]]\nheal = {}\n");
    assert!(text.contains("the first step must be `grow`"), "{text}");
}

#[test]
fn every_file_of_the_folder_is_shipped_and_is_a_scenario() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|file| file.expect("it can be read").file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    files.sort();
    let mut shipped: Vec<_> = shipped::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    shipped.sort();
    assert_eq!(files, shipped);
    for (name, text) in shipped::ALL {
        if let Err(error) = Plan::parse(name, text) {
            panic!("{name}: {error}");
        }
    }
}
