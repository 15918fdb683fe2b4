//! Manual pages from the command line's own definition: what `-h` says, in the sections that people look for.
//!
//! The texts after the options are cut at their headings: `Examples:` and `Exit codes:` become sections of their own,
//! what stands before them is part of the description. A page has no date, so that it is the same whenever it is made.

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::ops::man::Page;

/// The name of the program, and of the first page.
const PROGRAM: &str = "git-audit";

/// The page of the program, then one for each command that is not hidden.
pub(super) fn all(command: Command) -> Vec<Page> {
    let mut program = command.disable_help_subcommand(true);
    program.build();
    let commands: Vec<_> = program.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    std::iter::once(&program).chain(commands).map(|command| page(command, &program)).collect()
}

fn page(command: &Command, program: &Command) -> Page {
    let name = name(command);
    let after = Text::after(command);
    let mut head = Roff::new();
    head.control("SH", ["NAME"]);
    head.text([roman(format!("{name} - {}", about(command)))]);
    head.control("SH", ["SYNOPSIS"]);
    head.text(synopsis(command));
    head.control("SH", ["DESCRIPTION"]);
    head.text([roman(format!("{}.", about(command).trim_end_matches('.')))]);
    for paragraph in &after.prose {
        head.control("PP", []);
        head.text([roman(paragraph)]);
    }

    let mut tail = Roff::new();
    if command.has_subcommands() {
        tail.control("SH", ["COMMANDS"]);
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            tail.control("TP", []);
            tail.text(reference(&self::name(command)));
            tail.text([roman(about(command))]);
        }
    }
    for (heading, lines) in after.sections.iter().filter(|(heading, _)| heading != EXIT_CODES) {
        tail.control("SH", [heading.to_uppercase().as_str()]);
        tail.control("nf", []);
        tail.text([roman(lines.join("\n"))]);
        tail.control("fi", []);
    }
    tail.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit_codes(program) {
        tail.control("TP", []);
        tail.text([bold(code)]);
        tail.text([roman(meaning)]);
    }
    tail.control("SH", ["SEE ALSO"]);
    tail.text(see_also(command, program));

    let version = program.get_version().unwrap_or_default();
    let title = format!(
        ".TH {} 1 \"\" \"{PROGRAM} {version}\" \"Git audit manual\"\n.nh\n.ad l\n",
        name.to_uppercase()
    );
    let source = [title, head.to_roff(), options(command), tail.to_roff()].concat();
    Page { name: format!("{name}.1"), source: portable(&source) }
}

/// `git-audit-log`
fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// The usage that `-h` prints, such as `git audit log [OPTIONS]`.
fn synopsis(command: &Command) -> Vec<Inline> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ");
    let program = command.get_bin_name().unwrap_or_else(|| command.get_name());
    match usage.strip_prefix(program) {
        Some(rest) => vec![bold(program), roman(rest)],
        None => vec![roman(usage)],
    }
}

/// The sections of options, as `clap_mangen` makes them.
fn options(command: &Command) -> String {
    let mut source = Vec::new();
    // Writing to memory does not fail.
    _ = Man::new(command.clone().mut_args(values_in_words)).render_options_section(&mut source);
    String::from_utf8_lossy(&source)
        .lines()
        .filter(|line| !is_preamble(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The values that an argument can have as part of its text, in place of a list with a line for each.
fn values_in_words(argument: Arg) -> Arg {
    let values = argument.get_possible_values();
    let values: Vec<_> =
        values.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name()).collect();
    if values.is_empty() || !argument.get_action().takes_values() {
        return argument;
    }
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = format!("{help}; one of {}", values.join(", "));
    argument.help(help).hide_possible_values(true)
}

/// What every part of a page would begin with: the definition of an apostrophe. [`portable`] needs none.
fn is_preamble(line: &str) -> bool {
    line.starts_with(".ie \\n(.g") || line.starts_with(".el .ds Aq")
}

const EXIT_CODES: &str = "Exit codes";

/// The text that a command's help has after its options.
#[derive(Default)]
struct Text {
    /// Paragraphs, each on one line.
    prose: Vec<String>,
    /// Headings, and the lines below them.
    sections: Vec<(String, Vec<String>)>,
}

impl Text {
    fn after(command: &Command) -> Self {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut found = Self::default();
        let mut paragraph = Vec::new();
        for line in text.lines().chain([""]) {
            let heading = line.strip_suffix(':').filter(|_| paragraph.is_empty() && line.len() < 40);
            match (heading, found.sections.last_mut()) {
                (Some(heading), _) => found.sections.push((heading.to_owned(), Vec::new())),
                (None, Some((_, lines))) if line.starts_with(' ') => lines.push(line.to_owned()),
                _ if line.is_empty() && !paragraph.is_empty() => {
                    found.prose.push(std::mem::take(&mut paragraph).join(" "));
                }
                _ if line.is_empty() => {}
                _ => paragraph.push(line),
            }
        }
        found
    }
}

/// Code and meaning, from the program's own help.
fn exit_codes(program: &Command) -> Vec<(String, String)> {
    let after = Text::after(program);
    let lines =
        after.sections.into_iter().filter(|(heading, _)| heading == EXIT_CODES).flat_map(|(_, lines)| lines);
    let codes =
        lines.flat_map(|line| line.split(" · ").map(|code| code.trim().to_owned()).collect::<Vec<_>>());
    codes
        .filter_map(|code| code.split_once(' ').map(|(code, meaning)| (code.to_owned(), meaning.to_owned())))
        .collect()
}

fn see_also(command: &Command, program: &Command) -> Vec<Inline> {
    let mut names = vec![name(program)];
    names.extend(program.get_subcommands().filter(|command| !command.is_hide_set()).map(name));
    names.retain(|other| *other != name(command));
    let mut text: Vec<_> =
        names.iter().flat_map(|name| reference(name).into_iter().chain([roman(", ")])).collect();
    text.extend(reference("git"));
    text
}

/// `git-audit-log(1)`
fn reference(name: &str) -> Vec<Inline> {
    vec![bold(name), roman("(1)")]
}

/// The source in ASCII, which every `man` reads alike: words in backticks become bold, characters that typesetters
/// replace by prettier ones are written by name.
fn portable(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for line in source.lines() {
        let ticks = line.matches('`').count();
        let mut tick = 0;
        for character in line.replace(r"\*(Aq", "'").chars() {
            match character {
                '`' if tick + 1 == ticks && ticks % 2 == 1 => text.push_str(r"\(ga"),
                '`' => {
                    text.push_str(if tick % 2 == 0 { r"\fB" } else { r"\fR" });
                    tick += 1;
                }
                '\'' => text.push_str(r"\(aq"),
                '~' => text.push_str(r"\(ti"),
                '^' => text.push_str(r"\(ha"),
                character if character.is_ascii() => text.push(character),
                character => text.push_str(&format!(r"\[u{:04X}]", u32::from(character))),
            }
        }
        text.push('\n');
    }
    text
}
