//! Plans, versions and the audit as text for people.
//!
//! Pure. Shows what the gateway answered, which holds no secret.

use smsgw_node_config::{AuditRow, Plan, VersionHead};

pub(super) fn drawn(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.changes.is_empty() {
        text.push_str("no changes\n");
    }
    for change in &plan.changes {
        let (mark, values) = match change.kind.as_str() {
            "added" => ("+", String::new()),
            "removed" => ("-", String::new()),
            _ => ("~", format!(": {} -> {}", change.old, change.new)),
        };
        text.push_str(&format!("{mark} {:7}  {}{values}\n", change.impact, change.path));
    }
    for file in &plan.files {
        text.push_str(&format!("writes {file}\n"));
    }
    let has = |impact: &str| plan.changes.iter().any(|change| change.impact == impact);
    if has("relink") {
        text.push_str("relink: the links of that operator unbind when all is answered, and bind again\n");
    }
    if has("restart") {
        text.push_str("restart: the old value holds until the process is started again\n");
    }
    text
}

pub(super) fn listed(heads: &[VersionHead]) -> String {
    let mut text = format!(
        "{:>7}  {:20}  {:7}  {:12}  CHANGES\n",
        "VERSION", "AT", "VERB", "BY"
    );
    for head in heads {
        let what = match (head.changes.as_slice(), &head.reason) {
            (_, Some(reason)) => format!("{}: {reason}", head.changes.len()),
            ([], None) => "0".to_owned(),
            ([only], None) => format!("1: {only}"),
            ([first, ..], None) => format!("{}: {first}, …", head.changes.len()),
        };
        text.push_str(&format!(
            "{:>7}  {:20}  {:7}  {:12}  {what}\n",
            head.version,
            to_the_second(&head.at),
            head.verb,
            head.by
        ));
    }
    text
}

pub(super) fn whole(head: &VersionHead) -> String {
    let mut text = format!(
        "version {} of {} by {} ({})\n",
        head.version, head.at, head.by, head.verb
    );
    if let Some(reason) = &head.reason {
        text.push_str(&format!("reason: {reason}\n"));
    }
    for file in &head.files {
        text.push_str(&format!("file {} sha256 {}\n", file.name, file.sha256));
    }
    for change in &head.changes {
        text.push_str(&format!("  {change}\n"));
    }
    text
}

pub(super) fn audited(rows: &[AuditRow]) -> String {
    let mut text = String::new();
    for row in rows {
        let target = row.target.as_deref().unwrap_or("-");
        let link = row.link.map(|link| format!(" link {link}")).unwrap_or_default();
        let reason = row
            .reason
            .as_ref()
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        text.push_str(&format!(
            "{}  {:12}  {} {target}{link}{reason}: {}: {}\n",
            to_the_second(&row.at),
            row.by,
            row.verb,
            row.outcome,
            row.detail.replace('\n', " | ")
        ));
    }
    text
}

/// A time without its fraction.
fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((second, _)) => format!("{second}Z"),
        None => time.to_owned(),
    }
}
