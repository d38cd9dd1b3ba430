//! What the number plan must answer: known numbers, wrong numbers, wrong plans, and a naive reference.

use super::*;
use proptest::prelude::*;

fn country(digits: &str) -> Option<&'static str> {
    NumberPlan::builtin().country(digits).map(|country| country.iso2)
}

fn network(digits: &str) -> Option<(&'static str, Option<String>)> {
    NumberPlan::builtin()
        .network(digits)
        .map(|network| (network.name, network.plmn.map(|plmn| plmn.to_string())))
}

#[test]
fn numbers_of_many_countries_are_known() {
    for (digits, expected) in [
        ("491701234567", "DE"),
        ("436641234567", "AT"),
        ("41791234567", "CH"),
        ("33612345678", "FR"),
        ("34612345678", "ES"),
        ("351912345678", "PT"),
        ("31612345678", "NL"),
        ("32470123456", "BE"),
        ("352621123456", "LU"),
        ("423660234567", "LI"),
        ("4520123456", "DK"),
        ("46701234567", "SE"),
        ("48512345678", "PL"),
        ("420601123456", "CZ"),
        ("421912123456", "SK"),
        ("36201234567", "HU"),
        ("40712034567", "RO"),
        ("359878123456", "BG"),
        ("302101234567", "GR"),
        ("905012345678", "TR"),
        ("380501234567", "UA"),
        ("972502345678", "IL"),
        ("971501234567", "AE"),
        ("966512345678", "SA"),
        ("201001234567", "EG"),
        ("27711234567", "ZA"),
        ("2348021234567", "NG"),
        ("254712123456", "KE"),
        ("233231234567", "GH"),
        ("918123456789", "IN"),
        ("923012345678", "PK"),
        ("8801812345678", "BD"),
        ("8613123456789", "CN"),
        ("85251234567", "HK"),
        ("886912345678", "TW"),
        ("819012345678", "JP"),
        ("821020000000", "KR"),
        ("66812345678", "TH"),
        ("84912345678", "VN"),
        ("62812345678", "ID"),
        ("639051234567", "PH"),
        ("60123456789", "MY"),
        ("6581234567", "SG"),
        ("64211234567", "NZ"),
        ("5511961234567", "BR"),
        ("5491123456789", "AR"),
        ("573211234567", "CO"),
        ("56221234567", "CL"),
        ("522221234567", "MX"),
        ("38343201234", "XK"),
    ] {
        assert_eq!(country(digits), Some(expected), "{digits}");
    }
}

#[test]
fn shared_calling_codes_part_where_their_countries_part() {
    for (digits, expected) in [
        // North America: area codes of the United States, Canada and the islands.
        ("12125550123", "US"),
        ("19075550123", "US"),
        ("14165550123", "CA"),
        ("18675550123", "CA"),
        ("18765550123", "JM"),
        ("16585550123", "JM"),
        ("12425550123", "BS"),
        ("12465550123", "BB"),
        ("18685550123", "TT"),
        ("18095550123", "DO"),
        ("18295550123", "DO"),
        ("17875550123", "PR"),
        ("14415550123", "BM"),
        ("13455550123", "KY"),
        ("16715550123", "GU"),
        ("13405550123", "VI"),
        ("17215550123", "SX"),
        // Russia and Kazakhstan.
        ("79123456789", "RU"),
        ("74951234567", "RU"),
        ("77710009998", "KZ"),
        ("77172123456", "KZ"),
        // Britain and the crown dependencies, by landline and mobile ranges.
        ("447400123456", "GB"),
        ("442071234567", "GB"),
        ("441481256789", "GG"),
        ("447781123456", "GG"),
        ("441534456789", "JE"),
        ("447797712345", "JE"),
        ("441624756789", "IM"),
        ("447524123456", "IM"),
        ("393123456789", "IT"),
        ("390669812345", "VA"),
        ("390669912345", "IT"),
        ("212650123456", "MA"),
        ("212528812345", "EH"),
        ("212528912345", "EH"),
        ("212528712345", "MA"),
        ("4721234567", "NO"),
        ("4779123456", "SJ"),
        ("358412345678", "FI"),
        ("3581812345678", "AX"),
        ("262692123456", "RE"),
        ("262639012345", "YT"),
        ("5999123456", "CW"),
        ("5997151234", "BQ"),
        ("61412345678", "AU"),
        ("61891641234", "CX"),
        ("61891621234", "CC"),
        ("590690001234", "GP"),
    ] {
        assert_eq!(country(digits), Some(expected), "{digits}");
    }
}

#[test]
fn codes_of_no_country_are_the_worlds() {
    let plan = NumberPlan::builtin();
    for (digits, code, name) in [
        ("80012345678", 800, "International Freephone Service"),
        ("870773111632", 870, "Inmarsat"),
        ("881612345678", 881, "Global Mobile Satellite System"),
        ("882163123456", 882, "International Networks"),
        ("883510012345678", 883, "International Networks"),
    ] {
        let expected = Country {
            iso2: "001",
            calling_code: code,
            name,
        };
        assert_eq!(plan.country(digits), Some(expected), "{digits}");
    }
}

#[test]
fn networks_are_those_the_range_was_allocated_to() {
    for (digits, name, plmn) in [
        ("4915112345678", "T-Mobile", Some("262-01")),
        ("4915201234567", "Vodafone", Some("262-02")),
        ("33689123456", "Orange France", Some("208-01")),
        ("447400123456", "Three", Some("234-20")),
        ("48512345678", "Orange", Some("260-03")),
        ("41791234567", "Swisscom", Some("228-01")),
        ("447781123456", "Sure", Some("234-55")),
        ("8613912345678", "China Mobile", Some("460-00")),
        ("27821234567", "Vodacom", Some("655-01")),
        ("254712123456", "Safaricom", Some("639-02")),
        // One brand with a code for each circle: named, but no code is claimed.
        ("919810123456", "Airtel", None),
    ] {
        assert_eq!(network(digits), Some((name, plmn.map(str::to_owned))), "{digits}");
    }
    assert_eq!(network("12125550123"), None, "no mobile ranges there");
    assert_eq!(network("4930123456"), None, "a landline");
}

#[test]
fn wrong_numbers_have_the_country_of_their_prefix_or_none() {
    for (digits, expected) in [
        ("49", Some("DE")),
        ("4", None),
        ("7", Some("RU")),
        ("76", Some("RU")),
        ("77", Some("KZ")),
        ("999123456", None),
        ("0491701234567", None),
        ("210123456", None),
        ("49170123456789012345678", Some("DE")),
        ("", None),
        ("+491701234567", None),
        ("49 170", None),
        ("４９170", None),
    ] {
        assert_eq!(country(digits), expected, "{digits}");
    }
}

#[test]
fn the_built_in_plan_is_as_large_as_its_page_says() {
    let size = NumberPlan::builtin().size();
    assert!(size.countries >= 250, "{size:?}");
    assert!(
        size.networks >= 1500 && size.networks_with_code >= 600,
        "{size:?}"
    );
    assert!(size.prefixes >= 29_000, "{size:?}");
    assert!(size.octets < 2_000_000, "{size:?}");
    assert!(include_str!("builtin.tsv").len() < 1_500_000);
}

const OWN: &str = "# mine\ncountry\tDE\t49\tGermany\r\n\nnetwork\tone\tDE\t262-001\tOne & Only\nnetwork\ttwo\tDE\t-\tTwo\n\
                   49\tDE\n4915\tone\n49151\ttwo\n49\ttwo\n";

#[test]
fn an_own_plan_is_read() {
    let plan = NumberPlan::try_new(OWN).unwrap();
    let one = plan.network("49150").unwrap();
    assert_eq!((one.name, one.country.iso2), ("One & Only", "DE"));
    assert_eq!(
        one.plmn,
        Some(Plmn {
            mcc: "262",
            mnc: "001"
        })
    );
    assert_eq!(plan.network("49151").unwrap().name, "Two");
    assert_eq!(plan.network("49").unwrap().plmn, None);
    assert_eq!(plan.network("4"), None);
    let size = plan.size();
    assert_eq!((size.countries, size.networks, size.prefixes), (1, 2, 4));
    assert_eq!(NumberPlan::try_new("").unwrap().country("49"), None);
}

#[test]
fn every_error_of_a_plan_is_told_with_its_line() {
    use PlanErrorKind::{
        CallingCode, CountryKey, Fields, NetworkKey, NoName, Plmn, Twice, Unknown, UnknownEntry,
    };
    let text = "country\tDE\t49\tGermany\ncountry\tde\t49\tGermany\ncountry\tFR\t0\tFrance\ncountry\tDE\t49\tAgain\n\
                country\tIT\t39\nnetwork\tOne\tDE\t-\tOne\nnetwork\ttwo\tDE\t26-01\tTwo\nnetwork\tthree\tXX\t-\tThree\n\
                network\tfour\tDE\t-\t \n49\tDE\n49\tDE\n4x\tDE\n48\tPL\n1234567890123456\tDE\n47\tDE\tmore\n33\tFR\n";
    let errors = NumberPlan::try_new(text).unwrap_err();
    let fields = |expected, found| Fields { expected, found };
    let twice = |what: &str, first| Twice {
        what: what.to_owned(),
        first,
    };
    let expected = [
        (2, CountryKey("de".into())),
        (3, CallingCode("0".into())),
        (4, twice("DE", 1)),
        (5, fields(4, 3)),
        (6, NetworkKey("One".into())),
        (7, Plmn("26-01".into())),
        (8, Unknown("XX".into())),
        (9, NoName),
        (11, twice("49", 10)),
        (12, UnknownEntry),
        (13, Unknown("PL".into())),
        (14, UnknownEntry),
        (15, fields(2, 3)),
    ]
    .map(|(line, kind)| PlanError { line, kind });
    assert_eq!(errors.0, expected);
    assert!(
        errors
            .to_string()
            .contains("\nline 8: names \"XX\", which no line declares")
    );
}

fn digits(most: usize) -> impl Strategy<Value = String> {
    // Few digits, so that prefixes meet numbers; 9 because nothing stands behind its range.
    proptest::collection::vec(prop_oneof![4 => 0u8..2, 1 => 9u8..10], 1..=most)
        .prop_map(|digits| digits.iter().map(|digit| char::from(b'0' + digit)).collect())
}

proptest! {
    /// PL-1 against a walk over all prefixes, for both kinds.
    #[test]
    fn lookups_are_those_of_a_naive_walk(
        prefixes in proptest::collection::btree_map((digits(15), any::<bool>()), 0u16..5, 0..60),
        numbers in proptest::collection::vec(digits(18), 1..30),
    ) {
        let mut text = String::new();
        for key in 0..5 {
            text.push_str(&format!("country\tA{}\t{}\tC{key}\nnetwork\tn{key}\tA{0}\t-\tN{key}\n",
                char::from(b'A' + key), key + 1));
        }
        for ((prefix, to_network), key) in &prefixes {
            let target = if *to_network { format!("n{key}") } else {
                format!("A{}", char::from(b'A' + u8::try_from(*key).unwrap()))
            };
            text.push_str(&format!("{prefix}\t{target}\n"));
        }
        let plan = NumberPlan::try_new(&text).unwrap();
        for number in &numbers {
            let naive = |of_network: bool| prefixes.iter()
                .filter(|((prefix, to_network), _)| *to_network == of_network && number.starts_with(prefix.as_str()))
                .max_by_key(|((prefix, _), _)| prefix.len())
                .map(|(_, key)| *key);
            let country = plan.country(number).map(|country| country.calling_code - 1);
            prop_assert_eq!(country, naive(false), "{}", number);
            let network = plan.network(number).map(|network| network.name.to_owned());
            prop_assert_eq!(network, naive(true).map(|key| format!("N{key}")), "{}", number);
        }
    }
}
