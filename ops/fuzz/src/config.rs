//! The configuration file, as an editor may leave it.

use smsgw_config::{Config, ConfigDiff};

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        include_str!("../../../config/samples/gateway.toml"),
        include_str!("../../../config/samples/all-keys.toml"),
        "[node]\nname = \"a\"\n[operator.x]\nprotocol = \"smpp\"\nhosts = [\"h:1\"]\nsystem_id = \"s\"\npassword = \"p\"\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn run(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    match Config::parse("fuzz.toml", &text) {
        Ok(config) => {
            assert!(ConfigDiff::between(&config, &config).is_empty());
            // A table that cannot be built is an error with words, never a panic.
            if let Err(error) = config.route_table() {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                assert!(problem.line > 0 && problem.column > 0, "{problem}");
                assert!(
                    text.get(problem.span.clone()).is_some(),
                    "{problem}: {:?}",
                    problem.span
                );
            }
        }
    }
}
