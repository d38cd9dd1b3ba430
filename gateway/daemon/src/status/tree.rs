//! The supervision tree: every part with its state, and why it failed last. 80 columns.

use super::draw::{Glyphs, WIDTH, clock, printable, push_line, since, wrapped};
use super::schema::{Part, Status};

/// Columns right of the name: state, for, restarts, mailbox.
const RIGHT: usize = 12 + 8 + 9 + 8;

/// Draws the whole tree.
pub(super) fn draw(status: &Status, glyphs: Glyphs) -> String {
    let mut out = String::new();
    let Some(tree) = &status.tree else {
        return "the gateway is starting: there is no tree yet\n".to_owned();
    };
    line(&mut out, "PART", "state", "for", "restarts", "mailbox");
    part(&mut out, status, tree, "", "", glyphs);
    out
}

fn part(out: &mut String, status: &Status, part: &Part, stem: &str, below: &str, glyphs: Glyphs) {
    let mailbox = part.mailbox.map_or("-".to_owned(), |depth| depth.to_string());
    line(
        out,
        &format!("{stem}{}", printable(&part.name)),
        &part.state,
        &since(&part.since, &status.at),
        &part.restarts.to_string(),
        &mailbox,
    );
    let note = match part.children.is_empty() {
        true => format!("{below}    "),
        false => format!("{below}{} ", glyphs.pass),
    };
    if let Some(at) = &part.restart_at {
        let text = format!("starts again at {} (in {})", clock(at), since(&status.at, at));
        wrapped(out, &note, &note, &text);
    }
    if let Some(error) = &part.last_error {
        let at = part.failed_at.as_deref().unwrap_or_default();
        let text = format!("failed at {}, {} ago: {error}", clock(at), since(at, &status.at));
        wrapped(out, &note, &format!("{note}  "), &text);
    }
    for channel in &part.channels {
        let text = format!(
            "channel {}: {} of {}",
            channel.name, channel.depth, channel.capacity
        );
        wrapped(out, &note, &note, &text);
    }
    let last = part.children.len().saturating_sub(1);
    for (at, child) in part.children.iter().enumerate() {
        let (own, pass) = if at == last {
            (glyphs.last, glyphs.none)
        } else {
            (glyphs.child, glyphs.pass)
        };
        self::part(
            out,
            status,
            child,
            &format!("{below}{own}"),
            &format!("{below}{pass}"),
            glyphs,
        );
    }
}

fn line(out: &mut String, name: &str, state: &str, span: &str, restarts: &str, mailbox: &str) {
    let right = format!("{state:>12}{span:>8}{restarts:>9}{mailbox:>8}");
    let room = WIDTH - RIGHT;
    if name.chars().count() < room {
        push_line(out, &format!("{name:<room$}{right}"));
    } else {
        push_line(out, name);
        push_line(out, &format!("{:<room$}{right}", ""));
    }
}
