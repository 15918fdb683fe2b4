//! Test only: for every built-in rule what it must find and what it must leave.
//!
//! No secret stands here as a whole, or whoever scans the sources would take it for one.

/// Text that looks random, of any length.
pub(super) fn noise(length: usize) -> String {
    "Ab3dE7gH1jK9mN5pQ2rS8tU4vW6xY0zaB1cD3eF5g".chars().cycle().take(length).collect()
}

pub(super) fn hex(length: usize) -> String {
    "3f2b8c1e7d4a4f6b9c2d1e0f9a8b7c6d5e".chars().cycle().take(length).collect()
}

/// Upper-case letters and digits of base32.
fn base32(length: usize) -> String {
    "J2K7QWXZ3MNB5VCT".chars().cycle().take(length).collect()
}

pub(super) fn base64(text: &[u8]) -> String {
    let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for group in text.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let symbol = char::from(symbols[(bits >> (18 - 6 * index) & 63) as usize]);
            encoded.push(if index > group.len() { '=' } else { symbol });
        }
    }
    encoded
}

pub(super) fn pem(kind: &str, newline: &str) -> String {
    let line = noise(64);
    format!(
        "-----BEGIN {kind}-----{newline}{line}{newline}{line}{newline}{}=={newline}-----END {kind}-----",
        noise(22)
    )
}

/// Rule, text with a secret, and the parts of it that must be gone.
pub(super) fn planted() -> Vec<(&'static str, String, Vec<String>)> {
    let whole = |rule, secret: String| (rule, format!("it said {secret} and went on"), vec![secret]);
    let inside = |rule, before: &str, secret: String, after: &str| {
        (rule, format!("{before}{secret}{after}"), vec![secret])
    };
    let body = || vec![noise(64), noise(22)];
    let private = ["PRIVATE", " KEY"].concat();
    let mut all = vec![
        ("private-key", pem(&private, "\n"), body()),
        ("private-key", pem(&format!("RSA {private}"), "\\n"), body()),
        ("private-key", pem(&format!("PGP {private} BLOCK"), "\r\n"), body()),
        ("private-key", pem(&format!("OPENSSH {private}"), " "), body()),
        (
            "private-key",
            format!(
                "PuTTY-User-Key-File-3: x\nPrivate-Lines: 2\n{}\n{}\nPrivate-MAC: {}",
                noise(64),
                noise(22),
                hex(64)
            ),
            body(),
        ),
        ("private-key", format!("Private-Lines: 2\n{}\n{}", noise(64), noise(22)), body()),
        (
            "private-key",
            base64(format!("openssh-key-v1\0{}", noise(40)).as_bytes()),
            vec!["b3BlbnNzaC1rZXktdjE".into()],
        ),
        whole("age-key", format!("AGE-SECRET-{}1{}", "KEY-", base32(58))),
        whole("aws-access-key", format!("AKI{}{}", "A", base32(16))),
        whole("aws-access-key", format!("ABS{}{}", "K", noise(110))),
        inside("aws-access-key", "https://b.s3.amazonaws.com/x?X-Amz-Signature=", hex(64), "&x=1"),
        inside("aws-secret-key", &format!("AKI{}{}, ", "A", base32(16)), noise(40), "\n"),
        whole("gcp-key", format!("AIz{}{}", "a", noise(35))),
        whole("gcp-key", format!("ya2{}{}", "9.", noise(60))),
        whole("gcp-key", format!("GOCSP{}{}", "X-", noise(28))),
        inside("azure-key", "DefaultEndpointsProtocol=https;AccountKey=", format!("{}==", noise(86)), ";x"),
        whole("azure-key", format!("abc8{}{}", "Q~", noise(34))),
        inside("azure-key", "https://a.blob.core.windows.net/c?sv=2022&sig=", noise(43), "&se=1"),
        whole("azure-key", format!("{}AZD{}abcd", noise(76), "O")),
        whole("github-pat", format!("gh{}{}", "p_", noise(36))),
        whole("github-pat", format!("github_{}{}_{}", "pat_", noise(22), noise(59))),
        whole("github-token", format!("gh{}{}", "o_", noise(36))),
        whole("github-token", format!("gh{}{}.{}.{}", "s_123_", noise(40), noise(90), noise(40))),
        whole("gitlab-token", format!("gl{}{}", "pat-", noise(20))),
        whole("gitlab-token", format!("gl{}{}.01.{}", "rt-", noise(27), noise(9))),
        whole("slack-token", format!("xo{}123456789012-123456789012-{}", "xb-", noise(24))),
        inside("slack-webhook", "https://hooks.slack.com/services/", format!("T01/B02/{}", noise(24)), " x"),
        whole("stripe-key", format!("sk_{}{}", "live_", noise(24))),
        whole("stripe-key", format!("whs{}{}", "ec_", noise(32))),
        whole("anthropic-key", format!("sk-{}{}", "ant-api03-", noise(90))),
        whole("openai-key", format!("sk-{}{}", "proj-", noise(120))),
        whole("openai-key", format!("sk{}{}", "-", noise(48))),
        whole("npm-token", format!("np{}{}", "m_", noise(36))),
        whole("pypi-token", format!("pypi-{}{}", "AgEIcHlwaS5vcmc", noise(120))),
        whole("huggingface-token", format!("h{}{}", "f_", noise(34))),
        whole("sendgrid-key", format!("S{}{}.{}", "G.", noise(22), noise(43))),
        whole("twilio-key", format!("S{}{}", "K", hex(32))),
        inside("twilio-key", "twilio auth: ", hex(32), ""),
        inside("twilio-key", "twilio auth: ", hex(32), ", x"),
        whole("databricks-token", format!("dap{}{}", "i", hex(32))),
        whole("fly-token", format!("fm{}{}", "2_", noise(60))),
        whole("heroku-key", format!("HRK{}{}", "U-AA", noise(58))),
        whole("alibaba-key", format!("LTA{}{}", "I5t", noise(20))),
        whole("shopify-token", format!("shpa{}{}", "t_", hex(32))),
        whole("doppler-token", format!("dp.s{}{}", "t.dev.", noise(40))),
        whole("doppler-token", format!("dp.p{}{}", "t.", noise(40))),
        inside("npm-token", "//registry.example.com/:_auth=", "dXNlcjpwYXNz".into(), "\n"),
        inside("netrc", "machine example.com login dev password ", "hunter2".into(), "\nmachine x"),
        inside("netrc", "machine example.com\n  login dev\n  password ", "swordfish".into(), "\n"),
        inside("url-password", "postgres://u:", "p@ss/word".into(), "@h"),
        whole("digitalocean-token", format!("dop_{}{}", "v1_", hex(64))),
        whole("docker-token", format!("dckr_{}{}", "pat_", noise(27))),
        whole("vault-token", format!("hv{}{}", "s.", noise(90))),
        whole("vault-token", format!("{}.atlas{}{}", noise(14), "v1.", noise(60))),
        whole("atlassian-token", format!("ATAT{}{}", "T3", noise(180))),
        whole(
            "jwt",
            format!(
                "ey{}.{}.{}",
                "JhbGciOiJIUzI1NiJ9",
                base64(br#"{"sub":"1234567890"}"#).trim_end_matches('='),
                noise(43)
            ),
        ),
        inside("url-password", "postgres://app:", "p@ss:w0rd".into(), "@db.example.com:5432/app"),
        inside("url-password", r"https:\/\/bot:", "hunter2".into(), r"@git.example.com\/x.git"),
        inside("url-password", "https://", noise(40), "@git.example.com/x.git"),
        inside("authorization", "curl -H 'Authorization: Bearer ", "abc.def".into(), "' x"),
        inside("authorization", r#"{"authorization": "Basic "#, "dXNlcjpwYXNz".into(), r#""}"#),
        inside("authorization", "sent bearer ", noise(30), " and failed"),
    ];
    for (before, secret, after) in [
        ("password=", "hunter2", " next"),
        ("PGPASSWORD='", "correct horse", "' psql"),
        ("db.password: ", "swordfish", "\nuser: x"),
        (r#"{"password": ""#, r#"a\"b c"#, r#""}"#),
        (r#""{\"client_secret\": \""#, "abc def", r#"\"}""#),
        ("?api_key=", "a1b2c3", "&x=1"),
        ("aws_secret_access_key = ", "wJalrXUtnFEMIK7MDENGbPxRfiCY", ""),
        ("(password=", "hunter2", ")"),
        ("DB_PASS=", "swordfish", "\n"),
        ("PASS=", "swordfish", " x"),
        ("smtp_pass: ", "hunter2", ""),
        (r#"{"pass": ""#, "x y z", r#""}"#),
        ("<password>", "x1", "</password>"),
        ("<db:Password>", "swordfish", "</db:Password>"),
        ("//registry.example.com/:_authToken=", "swordfish", "\n"),
        (r#"{"db_password":"#, "12345678", "}"),
    ] {
        all.push(inside("password", before, secret.into(), after));
    }
    for (before, secret, after) in [
        ("tool --password ", "swordfish", " --host db"),
        ("curl --oauth2-bearer ", "swordfish", " https://x"),
        ("ALTER USER app WITH PASSWORD '", "pw 1", "'"),
        ("curl -s -u bob:", "hunter2", " https://example.com"),
    ] {
        all.push(inside("command-line", before, secret.into(), after));
    }
    all.push(inside("secret", "token: ", "a1b2c3d4e5f6a7b8".into(), "\n"));
    all.push(inside("secret", r#"SECRET=""#, noise(20), r#"""#));
    all
}

/// What looks like a secret, and is none.
pub(super) fn lookalikes() -> Vec<String> {
    let mut all: Vec<_> = [
        "token: expired",
        "secrets: 3",
        "password reset failed",
        "the password is wrong",
        "Password: required",
        "password must be changed",
        "token = None",
        "api_key: missing",
        "token: deploy-2026-11-03",
        "password=${DB_PASSWORD}",
        "password=$DB_PASSWORD",
        "password: <your password>",
        "password=******",
        "password=get_password()",
        "PWD=/srv/build/app",
        "private_key: /etc/ssl/private/site.pem",
        "max_tokens: 4096",
        "password_policy: strict",
        "Authorization: required",
        "authorization failed",
        "bearer authentication required",
        "http://localhost:8080/path@2x.png",
        "git@github.com:org/repo.git",
        "ssh://git@example.com/x.git",
        "https://example.com/@scope/package",
        "https://user@example.com",
        "https://x:${TOKEN}@example.com",
        "ghp_short",
        "github_pat_x",
        "glpat-name",
        "xoxb-",
        "sk-learn",
        "task-0001",
        "sk_test_mode",
        "risk_test_implementation",
        "npm_config_registry_url",
        "hf_model",
        "SG.one.two",
        "SKU-1234",
        "AKIA",
        "AIza",
        "eyJ",
        "eyJhbGciOiJIUzI1NiJ9",
        "hooks.slack.com",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "the PRIVATE KEY was rotated",
        "sig=1",
        "AccountKey=missing",
        "dop_v1_x",
        "dckr_pat_x",
        "hvs.x",
        "pypi-AgE",
        "ATBB",
        "sha256:ad568ccc4533efa42cce874dcfaf6b7bf3c5c6ff89035c4cd800620a936b29f4",
        "curl -s https://example.com/a:b",
        "services_touched: DeployBillingServiceProduction",
        "twilio was called",
        "AGE-SECRET-KEY-",
        "credentials: 2 found",
        "task-proj-alpha-migration-phase-two",
        "docker run -u 1000:1000 image",
        "a.atlasv1.b",
        "GR1348941",
        "docker://alpine:3.18@sha256:ad568ccc4533efa42cce874dcfaf6b7bf3c5c6ff89035c4cd800620a936b29f4",
        "http://[::1]:8080/@scope/pkg",
        "https://example.com/a@b, http://localhost:80/@scope",
        "passwd: files systemd",
        "password: 8 characters minimum",
        "idempotency-token: 3f2b8c1e-7d4a-4f6b-9c2d-1e0f9a8b7c6d",
        "list --page-token Ab3dE7gH1jK9mN5p --all",
        "next_page_token: Ab3dE7gH1jK9mN5p",
        "--- PASS: TestLogin (0.00s)",
        "pass: 12, fail: 3",
        "tests_pass=12",
        "bypass=everything",
        "<token>expired</token>",
        "the machine takes a login with a password",
        "dapi",
        "HRKU-x",
        "LTAI",
        "dp.st.x",
        "fm2_x",
        "shpat_x",
        "http_auth=basic",
    ]
    .map(str::to_owned)
    .into();
    all.extend([
        hex(40),
        hex(64),
        format!("task-{}", hex(40)),
        format!("twilio: fixed in {}", hex(40)),
        format!("token: {}", hex(40)),
        "3f2b8c1e-7d4a-4f6b-9c2d-1e0f9a8b7c6d".into(),
    ]);
    all.extend([base64(b"the quick brown fox jumps over the lazy dog"), noise(60), "A".repeat(200)]);
    all
}
