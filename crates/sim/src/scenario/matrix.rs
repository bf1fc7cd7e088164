//! One file, many runs: variables and their values.

use super::content::Scenario;
use super::error::ScenarioError;
use super::setting::{Setting, Settings};

/// Runs that one file may ask for: more is a slip of the pen.
const MAX_RUNS: usize = 10_000;

/// One world.
#[derive(Clone, Debug)]
pub struct Point {
    /// The values of the variables of `[vary]`.
    pub settings: Settings,
    /// One for each combination of the variables of `[within]`, in order.
    pub rounds: Vec<Round>,
}

/// One pass through the steps.
#[derive(Clone, Debug)]
pub struct Round {
    /// The values of all variables.
    pub settings: Settings,
    /// What the file says with them.
    pub scenario: Scenario,
}

impl Point {
    /// Whether these variables have these values here.
    pub fn matches(&self, wanted: &Settings) -> bool {
        wanted.iter().all(|(name, value)| self.settings.get(name) == Some(value))
    }
}

/// A variable with one of its values: as a setting, and as it stands in the file.
type Choice = (String, Setting, String);

/// The worlds of a file.
pub(super) fn points(text: &str) -> Result<Vec<Point>, ScenarioError> {
    let table: toml::Table = text.parse().map_err(malformed)?;
    let vary = variables(&table, "vary", text)?;
    let within = variables(&table, "within", text)?;
    let without = without(&table)?;
    let mut points = Vec::new();
    for outer in &vary {
        let chosen = settings(outer);
        if without.iter().any(|one| one.iter().all(|(name, value)| chosen.get(name) == Some(value)))
        {
            continue;
        }
        let mut rounds = Vec::new();
        for inner in &within {
            let choices: Vec<&Choice> = outer.iter().chain(inner).collect();
            let scenario = toml::from_str(&substituted(text, &choices)?).map_err(malformed)?;
            rounds.push(Round { settings: settings(choices), scenario });
        }
        points.push(Point { settings: chosen, rounds });
    }
    Ok(points)
}

/// All combinations of the variables of one table. Without any, one that is empty.
fn variables(
    table: &toml::Table,
    name: &str,
    text: &str,
) -> Result<Vec<Vec<Choice>>, ScenarioError> {
    let mut combinations = vec![Vec::new()];
    let Some(variables) = table.get(name).and_then(toml::Value::as_table) else {
        return Ok(combinations);
    };
    for (variable, values) in variables {
        let none = || ScenarioError::NoValues(variable.clone());
        let values = values.as_array().filter(|values| !values.is_empty()).ok_or_else(none)?;
        if !text.contains(&format!("\"${variable}\"")) && !text.contains(&format!("\"${variable} "))
        {
            return Err(ScenarioError::UnusedVariable(variable.clone()));
        }
        let mut longer = Vec::new();
        for combination in &combinations {
            for value in values {
                let setting = Setting::of_toml(value).ok_or_else(none)?;
                let mut combination: Vec<Choice> = combination.clone();
                combination.push((variable.clone(), setting, value.to_string()));
                longer.push(combination);
            }
        }
        if longer.len() > MAX_RUNS {
            return Err(ScenarioError::Malformed(format!("more than {MAX_RUNS} combinations")));
        }
        combinations = longer;
    }
    Ok(combinations)
}

/// The combinations that are left out.
fn without(table: &toml::Table) -> Result<Vec<Settings>, ScenarioError> {
    let Some(left_out) = table.get("without") else { return Ok(Vec::new()) };
    let wrong = || ScenarioError::NoValues("without".to_owned());
    let one = |values: &toml::Value| {
        let values = values.as_table().filter(|values| !values.is_empty()).ok_or_else(wrong)?;
        let setting = |(name, value): (&String, _)| {
            Ok((name.clone(), Setting::of_toml(value).ok_or_else(wrong)?))
        };
        values.iter().map(setting).collect()
    };
    left_out.as_array().ok_or_else(wrong)?.iter().map(one).collect()
}

fn substituted(text: &str, choices: &[&Choice]) -> Result<String, ScenarioError> {
    let mut text = text.to_owned();
    for (variable, setting, value) in choices {
        text = text.replace(&format!("\"${variable}\""), value);
        // With a unit behind it: "$minutes min".
        text = text.replace(&format!("\"${variable} "), &format!("\"{setting} "));
    }
    match text.split_once("\"$") {
        Some((_, rest)) => {
            let name = rest.split('"').next().unwrap_or_default();
            Err(ScenarioError::UnknownVariable(name.to_owned()))
        }
        None => Ok(text),
    }
}

fn settings<'a>(choices: impl IntoIterator<Item = &'a Choice>) -> Settings {
    choices.into_iter().map(|(name, value, _)| (name.clone(), value.clone())).collect()
}

fn malformed(error: toml::de::Error) -> ScenarioError {
    ScenarioError::Malformed(error.to_string().trim_end().to_owned())
}
