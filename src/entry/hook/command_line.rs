//! What is told of a command line: the program's name, and how many words follow it.
//!
//! What only leads up to the program is passed over: going to a directory, variables, comments, programs that run
//! others. Invariant: never an argument or a value is told; where it is not sure that a word is a program, the word before
//! it is.

const MAX_PROGRAM_BYTES: usize = 64;
/// Stands for the end of a line.
const LINE_END: &str = "\n";

/// Programs that run another: their short options without a value, and those with one.
const WRAPPERS: [(&str, &str, &str); 5] = [
    ("sudo", "ABbEHnPS", "CDgpRrTtu"),
    ("env", "0iv", "Cu"),
    ("nice", "", "n"),
    ("time", "apv", "fo"),
    ("timeout", "v", "ks"),
];
/// Their long options without a value; one with a value is passed over with it where both are one word.
const LONG_FLAGS: [&str; 6] = [
    "--foreground",
    "--ignore-environment",
    "--non-interactive",
    "--portability",
    "--preserve-env",
    "--preserve-status",
];

#[derive(Debug, PartialEq)]
pub(super) struct Command {
    /// Without its directory; `None` where the word is not plainly a name.
    pub program: Option<String>,
    pub argument_count: usize,
}

impl Command {
    /// Of a line, or several.
    pub fn of_text(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words: Vec<_> = lines.flat_map(|line| line.split_whitespace().chain([LINE_END])).collect();
        Self::of(&words)
    }

    /// Of words. `None`: there is no program, or no telling where it begins.
    pub fn of(words: &[&str]) -> Option<Self> {
        let words = program_first(words)?;
        let (first, rest) = words.split_first()?;
        let name = first.rsplit('/').next().filter(|name| is_plain(name));
        let argument_count = rest.iter().filter(|word| **word != LINE_END).count();
        Some(Self { program: name.map(str::to_owned), argument_count })
    }
}

/// The words from the program on.
fn program_first<'w, 't>(mut words: &'w [&'t str]) -> Option<&'w [&'t str]> {
    loop {
        words = match words {
            [LINE_END, rest @ ..] => rest,
            [word, rest @ ..] if is_assignment(word) => {
                // A value with a blank in it goes on in the next word.
                if word.contains(['"', '\'', '\\', '$', '`', '(']) {
                    return None;
                }
                rest.strip_prefix(&["&&"]).or_else(|| rest.strip_prefix(&[";"])).unwrap_or(rest)
            }
            // Alone, it is the program.
            ["cd", directory, "&&" | ";" | LINE_END, rest @ ..] if is_whole(directory) && is_more(rest) => {
                rest
            }
            ["cd", directory, rest @ ..]
                if directory.strip_suffix(';').is_some_and(is_whole) && is_more(rest) =>
            {
                rest
            }
            [word, rest @ ..] => match wrapped(word, rest) {
                Some(rest) => rest,
                None => return Some(words),
            },
            [] => return None,
        };
    }
}

/// What the program `wrapper` runs. `None`: it is none that runs others, or this is not sure.
fn wrapped<'w, 't>(wrapper: &str, mut words: &'w [&'t str]) -> Option<&'w [&'t str]> {
    let name = wrapper.rsplit('/').next()?;
    let (_, flags, valued) = WRAPPERS.into_iter().find(|(other, ..)| *other == name)?;
    while let Some((option, rest)) = words.split_first().filter(|(word, _)| word.starts_with('-')) {
        words = rest;
        if *option == "--" {
            break;
        }
        if option.starts_with("--") {
            let is_one_word = option.split_once('=').is_some_and(|(_, value)| is_whole(value));
            if is_one_word || LONG_FLAGS.contains(option) { continue } else { return None }
        }
        let letters = option[1..].trim_start_matches(|letter| flags.contains(letter));
        match letters.chars().next() {
            None if option.len() > 1 => {}
            Some(letter) if valued.contains(letter) && letters.len() > 1 && is_whole(letters) => {}
            Some(letter) if valued.contains(letter) && letters.len() == 1 => {
                words = words.split_first().filter(|(value, _)| is_whole(value))?.1;
            }
            _ => return None,
        }
    }
    if name == "timeout" {
        words = words.split_first().filter(|(duration, _)| is_duration(duration))?.1;
    }
    // `env` and `sudo` set variables, too.
    let next = words.iter().find(|word| !is_assignment(word))?;
    (!next.starts_with('-') && is_plain(next.rsplit('/').next()?)).then_some(words)
}

fn is_more(words: &[&str]) -> bool {
    words.iter().any(|word| *word != LINE_END)
}

/// Whether the word is all of what the shell takes for it: no quotation or substitution goes on in the next one.
fn is_whole(word: &str) -> bool {
    let inside = ['"', '\''].iter().find_map(|quote| word.strip_prefix(*quote)?.strip_suffix(*quote));
    let inside = inside.unwrap_or(word);
    !inside.is_empty() && !inside.contains(['"', '\'', '\\', '`', '(', ')', ';', '&', '|', '<', '>', '\n'])
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(is_name))
}

fn is_duration(word: &str) -> bool {
    let number = word.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or(word);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_PROGRAM_BYTES
        && name.bytes().all(|byte| is_name(byte) || matches!(byte, b'.' | b'-' | b'+'))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<(Option<String>, usize)> {
        Command::of_text(text).map(|command| (command.program, command.argument_count))
    }

    fn named(name: &str, count: usize) -> Option<(Option<String>, usize)> {
        Some((Some(name.to_owned()), count))
    }

    #[test]
    fn of_a_command_line_the_programs_name_is_told_and_nothing_that_could_be_a_secret() {
        assert_eq!(told("/usr/bin/curl -H 'X: s3cret' https://example.com"), named("curl", 4));
        assert_eq!(told("TOKEN=s3cret A=b cargo test"), named("cargo", 1));
        assert_eq!(told("TOKEN='a s3cret b' cargo test"), None);
        assert_eq!(told("TOKEN=$(cat s3cret) cargo"), None);
        assert_eq!(told("\"$(cat s3cret)\""), Some((None, 1)));
        assert_eq!(told(&"x".repeat(65)), Some((None, 0)));
        assert_eq!(told("TOKEN=s3cret"), None);
        assert_eq!(told("  "), None);
    }

    #[test]
    fn what_leads_up_to_the_program_is_passed_over() {
        for (line, program, count) in [
            ("cd /home/dev/shop && cargo test", "cargo", 1),
            ("cd shop; make -j 4", "make", 2),
            ("cd \"$HOME\" ; make", "make", 0),
            ("cd shop\nmake", "make", 0),
            ("# s3cret, and why\n\n  # more\ncd shop &&\n  TOKEN=s3cret make all", "make", 1),
            ("A=1; B=2 && make", "make", 0),
            ("A=1\nmake", "make", 0),
            ("sudo -n -u s3cret -E make", "make", 0),
            ("sudo -nus3cret /usr/bin/make", "make", 0),
            ("env -i TOKEN=s3cret -- make", "env", 4),
            ("env -i -u X TOKEN=s3cret make", "make", 0),
            ("nice -n 10 timeout -k 5 --signal=KILL 1.5m make all", "make", 1),
            ("time -p make", "make", 0),
            ("cd a && cd b && sudo make", "make", 0),
        ] {
            assert_eq!(told(line), named(program, count), "{line}");
        }
        assert_eq!(Command::of(&["sudo", "-u", "s3cret", "make"]).unwrap().program.as_deref(), Some("make"));
    }

    #[test]
    fn where_it_is_not_sure_the_word_before_is_told_and_never_an_argument() {
        for (line, program) in [
            ("cd 'a s3cret' && make", "cd"),
            ("cd \"a && s3cret b\" && make", "cd"),
            ("cd $(echo && s3cret) && make", "cd"),
            ("cd shop || s3cret", "cd"),
            ("cd a>b && s3cret", "cd"),
            ("sudo -h s3cret make", "sudo"),
            ("sudo --user s3cret make", "sudo"),
            ("sudo -u 's3cret s3cret' make", "sudo"),
            ("sudo -u's3cret s3cret' make", "sudo"),
            ("sudo --user='a s3cret' make", "sudo"),
            ("env -S s3cret", "env"),
            ("env", "env"),
            ("nice --adjustment 10 make", "nice"),
            ("timeout $s3cret make", "timeout"),
            ("timeout 5", "timeout"),
            ("time (s3cret)", "time"),
            ("sudo TOKEN='a s3cret' make", "sudo"),
            ("cd", "cd"),
            ("cd shop", "cd"),
            ("cd shop;\n\n", "cd"),
        ] {
            assert_eq!(told(line).unwrap().0.as_deref(), Some(program), "{line}");
        }
        assert_eq!(told("sudo TOKEN='a s3cret b' make"), None);
    }
}
