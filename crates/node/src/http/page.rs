//! The dashboard as one self-contained document: put together once from the files in `assets/`,
//! with a policy that lets it load nothing but itself and this node's JSON.

use std::sync::LazyLock;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// The document's frame, its looks, and what it does, in the order in which it is read.
const FRAME: &str = include_str!("../../assets/page.html");
const STYLE: &str = include_str!("../../assets/style.css");
const SCRIPTS: [&str; 6] = [
    include_str!("../../assets/base.js"),
    include_str!("../../assets/ring.js"),
    include_str!("../../assets/charts.js"),
    include_str!("../../assets/operations.js"),
    include_str!("../../assets/panels.js"),
    include_str!("../../assets/main.js"),
];

/// The dashboard document, with its content security policy.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) html: String,
    /// What the browser is to allow: this script and this style, by their hashes.
    pub(super) policy: String,
}

/// The dashboard.
pub(super) static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let script = format!("\"use strict\";\n(() => {{\n{}\n}})();\n", SCRIPTS.join("\n"));
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(&script),
        hash(STYLE)
    );
    Page { html: FRAME.replace("{{style}}", STYLE).replace("{{script}}", &script), policy }
});

fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(&Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_names_no_other_place() {
        let html = &PAGE.html;
        assert!(!html.contains("{{"), "every place is filled");
        assert_eq!(html.matches("<script>").count(), 1);
        assert_eq!(html.matches("<style>").count(), 1);
        let elsewhere = ["src=", "@import", "url(", "<link rel=\"stylesheet", "//cdn"];
        for sign in elsewhere {
            assert!(!html.contains(sign), "{sign}");
        }
        let namespaces = html.matches("http://www.w3.org/2000/svg").count();
        assert_eq!(html.matches("http://").count() + html.matches("https://").count(), namespaces);
    }

    #[test]
    fn the_policy_allows_this_script_and_no_other() {
        let policy = &PAGE.policy;
        assert!(policy.starts_with("default-src 'none';"));
        assert!(!policy.contains("unsafe"));
        let script = PAGE.html.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
        assert!(policy.contains(&hash(script)), "the hash is of exactly what stands there");
    }
}
