//! Test only: what must hold for all [`samples`], for values, command lines, and any text.

use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::samples::{base64, lookalikes, noise, pem, planted};
use super::*;

#[test]
fn each_rule_finds_its_secrets_and_takes_only_them() {
    let redactor = Redactor::standard();
    let planted = planted();
    for (rule, text, secrets) in &planted {
        let (kept, found) = redactor.text(text);
        assert!(found.iter().any(|found| found.rule == *rule), "{rule}: {found:?} in {text}");
        for secret in secrets {
            assert!(!kept.contains(secret.as_str()), "{rule}: {kept}");
        }
        assert!(kept.contains(&format!("[redacted:{rule}]")), "{rule}: {kept}");
        if let [secret] = secrets.as_slice()
            && rule != &"private-key"
        {
            let expected = text.replace(secret.as_str(), &format!("[redacted:{rule}]"));
            assert!(rule == &"aws-secret-key" || kept == expected, "{rule}: {kept}, not {expected}");
        }
    }
    for (rule, _) in built_in() {
        assert!(planted.iter().any(|(planted, ..)| *planted == rule), "{rule} has no sample");
    }
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    let redactor = Redactor::standard();
    for text in lookalikes() {
        let (kept, found) = redactor.text(&text);
        assert_eq!((kept.as_ref(), found), (text.as_str(), vec![]));
        let mut value = json!({"title": text, "metadata": {"note": [text]}});
        assert_eq!(redactor.value(&mut value), vec![], "{text}");
    }
}

#[test]
fn redacting_again_changes_nothing() {
    let redactor = Redactor::standard();
    for (rule, text, _) in planted() {
        let (once, _) = redactor.text(&text);
        assert_eq!(redactor.text(&once), (Cow::Borrowed(once.as_ref()), vec![]), "{rule}");
        let mut value = json!({"password": text, "authorization": text, "token": text});
        redactor.value(&mut value);
        let once = value.clone();
        assert_eq!(redactor.value(&mut value), vec![]);
        assert_eq!(value, once);
    }
}

#[test]
fn base64_is_looked_into_once_wherever_it_begins() {
    let redactor = Redactor::standard();
    for (rule, text, secrets) in planted().into_iter().filter(|(_, text, _)| !text.starts_with("b3BlbnNz")) {
        for glued in ["", "a", "ab", "abc", "x/"] {
            let encoded = base64(format!("{text}, he said").as_bytes());
            for encoded in
                [encoded.clone(), encoded.trim_end_matches('=').replace('+', "-").replace('/', "_")]
            {
                let whole = format!("{{data: {glued}{encoded}}}");
                let (kept, found) = redactor.text(&whole);
                assert!(!found.is_empty(), "{rule}: {whole}");
                assert_eq!(kept, format!("{{data: [redacted:{}]}}", found[0].rule), "{secrets:?}");
            }
        }
    }
    let encoded = base64(planted()[0].1.as_bytes()).into_bytes();
    for columns in [20, 32, 40, 64, 76] {
        let lines: Vec<_> = encoded.chunks(columns).map(String::from_utf8_lossy).collect();
        for separator in ["\n", "\r\n", "\\n", "\n    "] {
            assert_eq!(redactor.text(&lines.join(separator)).0, "[redacted:private-key]", "{columns}");
        }
    }
}

#[test]
fn a_key_that_is_cut_off_at_either_end_is_found() {
    let redactor = Redactor::standard();
    let kind = ["EC PRIVATE", " KEY"].concat();
    let whole = pem(&kind, "\n");
    let (head, tail) = whole.split_at(whole.len() - 40);
    for part in [head, &whole[..120], &whole[70..], tail] {
        let (kept, found) = redactor.text(part);
        assert_eq!(found[0].rule, "private-key", "{part}");
        assert!(!kept.contains(&noise(16)), "{kept}");
    }
    let log = format!("key:\n{head}\nThen it failed");
    assert!(redactor.text(&log).0.ends_with("it failed"));
}

#[test]
fn a_secret_beside_other_characters_is_found() {
    let redactor = Redactor::standard();
    let secret = format!("gh{}{}", "p_", noise(36));
    for text in
        [format!("x{secret}"), format!("日本{secret}語"), format!("{secret}{secret}"), format!("_{secret}-")]
    {
        assert!(!redactor.text(&text).0.contains(&noise(20)), "{text}");
    }
}

#[test]
fn names_tell_what_values_are() {
    let redactor = Redactor::standard();
    let mut value = json!({
        "password": "swordfish", "clientSecret": ["one two", "three"], "token": "expired", "api_key": 7, "Authorization": "Token abc",
        "env": [{"name": "DB_PASSWORD", "value": "x y"}, {"name": "HOST", "value": "db"}], "title": "swordfish"
    });
    let found = redactor.value(&mut value);
    let expected = json!({
        "password": "[redacted:password]", "clientSecret": ["[redacted:password]", "[redacted:password]"], "token": "expired",
        "api_key": 7, "Authorization": "Token [redacted:authorization]",
        "env": [{"name": "DB_PASSWORD", "value": "[redacted:password]"}, {"name": "HOST", "value": "db"}], "title": "swordfish"
    });
    assert_eq!(value, expected);
    let pointers: Vec<_> = found.iter().map(|found| found.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/Authorization", "/clientSecret/0", "/clientSecret/1", "/env/0/value", "/password"]
    );
}

#[test]
fn a_name_tells_of_objects_and_numbers_under_it() {
    let redactor = Redactor::standard();
    let mut value = json!({
        "password": {"value": "x1", "sensitive": true, "type": "string"}, "db_password": 12_345_678, "smtp_pass": "x1",
        "client_secret": [{"current": "x1"}, 7], "pass": 12_345_678, "summary": {"pass": "yes", "value": "x"},
    });
    let before = value.clone();
    redactor.value(&mut value);
    let mark = "[redacted:password]";
    let expected = json!({
        "password": {"value": mark, "sensitive": true, "type": "string"}, "db_password": mark, "smtp_pass": mark,
        "client_secret": [{"current": mark}, 7], "pass": 12_345_678, "summary": before["summary"],
    });
    assert_eq!(value, expected);
}

#[test]
fn sentences_about_secrets_compile_no_pattern() {
    let redactor = Redactor::standard();
    for text in [
        "token refreshed",
        "the secret and the password were rotated, the passphrase was not",
        "Authorization failed; a key is needed",
        "all tests pass",
    ] {
        redactor.value(&mut json!({ "title": text, "token": text }));
    }
    let compiled =
        redactor.rules().iter().filter(|rule| rule.patterns.iter().any(rule::Pattern::is_compiled));
    assert_eq!(compiled.map(|rule| rule.id.as_ref()).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn keys_are_redacted_and_no_value_is_lost_for_it() {
    let (one, two) = (format!("gh{}{}", "p_", noise(36)), format!("gh{}{}x", "p_", noise(37)));
    let mut value = json!({ (&one): {"password": "x1"}, (&two): 2 });
    let found = Redactor::standard().value(&mut value);
    assert_eq!(
        value,
        json!({"[redacted:github-pat]": {"password": "[redacted:password]"}, "[redacted:github-pat] 2": 2})
    );
    assert_eq!(found[1].pointer, "/[redacted:github-pat]/password");
    assert!(found.iter().all(|found| !format!("{found:?}").contains(&noise(20))));
}

#[test]
fn a_command_line_loses_what_its_flags_say_is_secret() {
    let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (given, expected) in [
        ("tool --password swordfish --verbose", "tool --password [redacted:password] --verbose"),
        ("tool --token=abc", "tool --token=[redacted:password]"),
        (
            "tool --password-file pw.txt --key k --password-stdin",
            "tool --password-file pw.txt --key k --password-stdin",
        ),
        ("/usr/bin/curl -u bob:hunter2 https://x", "/usr/bin/curl -u bob:[redacted:password] https://x"),
        ("curl -ubob:hunter2", "curl -ubob:[redacted:password]"),
        ("docker run -u 1000:1000 -p 80:80 x", "docker run -u 1000:1000 -p 80:80 x"),
        ("docker login -u bob -p hunter2 x", "docker login -u bob -p [redacted:password] x"),
        ("mysql -phunter2 db", "mysql -p[redacted:password] db"),
        ("sudo sshpass -p hunter2 ssh x", "sudo sshpass -p [redacted:password] ssh x"),
        ("env PGPASSWORD=hunter2 psql", "env PGPASSWORD=[redacted:password] psql"),
        ("git push https://bob:pw@x/y", "git push https://bob:[redacted:url-password]@x/y"),
        (r#"record --metadata {"password":"x1"}"#, r#"record --metadata {"password":"[redacted:password]"}"#),
        (r#"record --metadata={"api_key":"x1"}"#, r#"record --metadata={"api_key":"[redacted:password]"}"#),
        ("record --title token --status failed", "record --title token --status failed"),
        ("curl --oauth2-bearer x1 https://x", "curl --oauth2-bearer [redacted:password] https://x"),
        ("mysql -u root -p hunter2", "mysql -u root -p [redacted:password]"),
        ("sshpass -phunter2 ssh x", "sshpass -p[redacted:password] ssh x"),
        ("twine upload -u x -p hunter2 dist", "twine upload -u x -p [redacted:password] dist"),
        ("ldapsearch -x -w hunter2 -b dc=x", "ldapsearch -x -w [redacted:password] -b dc=x"),
        ("vault login -no-print hunter2", "vault login -no-print [redacted:password]"),
        (
            "aws configure set aws_secret_access_key x1 --profile p",
            "aws configure set aws_secret_access_key [redacted:password] --profile p",
        ),
        (
            "npm config set //r.example.com/:_authToken x1",
            "npm config set //r.example.com/:_authToken [redacted:password]",
        ),
        (
            "list --page-token Ab3dE7gH1jK9 --idempotency-token x1",
            "list --page-token Ab3dE7gH1jK9 --idempotency-token x1",
        ),
        ("kubectl -n set config get pods", "kubectl -n set config get pods"),
    ] {
        let (kept, _) = Redactor::standard().arguments(&line(given));
        assert_eq!(kept, line(expected));
    }
    let header = ["-H".to_owned(), "Authorization: Bearer abc.d".to_owned()];
    let (kept, found) = Redactor::standard().arguments(&header);
    assert_eq!(kept[1], "Authorization: Bearer [redacted:authorization]");
    assert_eq!(found[0].pointer, "/1");
}

#[test]
fn a_command_line_in_an_argument_is_one_too() {
    let redactor = Redactor::standard();
    for (given, expected) in [
        ("mysql -phunter2 db && echo done", "mysql -p[redacted:password] db && echo done"),
        ("cd /x; sshpass -p 'hunter2 x' ssh y", "cd /x; sshpass -p '[redacted:password]' ssh y"),
        ("tool --password=\"a b\" | tee log", "tool --password=\"[redacted:password]\" | tee log"),
        ("ssh host 'mysql -u root -p hunter2'", "ssh host 'mysql -u root -p [redacted:password]'"),
        ("vault login x1", "vault login [redacted:password]"),
        ("set password policy to strict", "set password policy to strict"),
        ("it's \\ é 'unclosed", "it's \\ é 'unclosed"),
    ] {
        let line = ["sh", "-c", given].map(str::to_owned);
        assert_eq!(redactor.arguments(&line).0[2], expected);
    }
}

#[test]
fn a_hostile_text_takes_linear_time() {
    let redactor = Redactor::standard();
    let seconds = |text: &str| {
        let started = Instant::now();
        redactor.text(text);
        started.elapsed().as_secs_f64()
    };
    let mut pieces: Vec<String> = rules::KNOWN_FORMS
        .iter()
        .chain(rules::NAMED)
        .flat_map(|rule| rule.keywords)
        .map(|text| text.trim_start_matches('^').replace(":=", "="))
        .collect();
    let all: String = pieces.concat();
    pieces.extend(planted().into_iter().map(|(_, text, _)| text));
    pieces.extend(
        [
            "password=\"",
            "password='",
            "a:b@",
            "://a:b",
            "[redacted:",
            "password=ab[redacted:",
            "password\\",
            "token>",
            "login x password",
            "://a:b@c/",
            "A\n ",
            "-----",
            "\\n",
            "eyJ.",
            "A",
        ]
        .map(str::to_owned),
    );
    pieces.extend([all.clone(), base64(all.as_bytes()), format!("{all}://@ ")]);
    for piece in pieces {
        let text = |bytes: usize| piece.repeat(bytes / piece.len() + 1);
        seconds(&text(1 << 10));
        let (short, long) = (seconds(&text(1 << 14)), seconds(&text(1 << 17)));
        // Eight times the text. Twice that leaves room for a busy machine; the square would be 64.
        assert!(
            long < 0.25 || long < short * 20.0,
            "{short} s, then {long} s: {}",
            &piece[..piece.len().min(60)]
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_planted_secret_survives_anywhere_in_a_value(
        shape in "[a-z/ .\"é]{0,12}", keys in proptest::collection::vec("[a-z~/é]{1,6}", 1..5), which in 0..1000_usize,
        is_key: bool, is_encoded: bool, in_array: bool, after in "[ ,\")日.]?[a-z ]{0,6}",
    ) {
        let planted = planted();
        let (_, text, secrets) = &planted[which % planted.len()];
        // That one is encoded already.
        let is_encoded = is_encoded && !text.starts_with("b3BlbnNz");
        let text = if is_encoded { base64(text.as_bytes()) } else { text.clone() };
        let text = format!("{shape} {text}{after}");
        let mut value = if is_key { json!({ text: 1 }) } else { json!(text) };
        for key in &keys {
            value = if in_array { json!([1, {key: value}]) } else { json!({key: value, "other": "x"}) };
        }
        let found = Redactor::standard().value(&mut value);
        let all = strings(&value).join("\n");
        prop_assert!(!found.is_empty(), "{}", value);
        for secret in secrets {
            prop_assert!(!all.contains(secret.as_str()), "{} in {}", secret, all);
            let told = format!("{found:?}");
            prop_assert!(!told.contains(secret.as_str()));
        }
    }

    #[test]
    fn any_text_can_be_redacted(text in any::<String>()) {
        let (kept, found) = Redactor::standard().text(&text);
        prop_assert!(found.is_empty() == (kept == text));
    }
}

/// Every string and key in `value`.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(map) => {
            map.iter().flat_map(|(key, value)| [vec![key.clone()], strings(value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}
