//! The built-in rules, as a table: what each kind of secret looks like. Their ids are a contract: policies name them,
//! and they stand in what is recorded.
//!
//! A rule is tried only where one of its keywords occurs. A keyword with a capital is looked for as it stands, any
//! other in every case; one that begins with `^` only at the start of a word; one that ends with `:=` only where something
//! is assigned to it, so that prose, which is full of these words, costs nothing. The secret is the first group of the
//! pattern that took part, else the whole match. No pattern may look further ahead than its match reaches, or the time
//! would grow with the square of the text; `a_hostile_text_takes_linear_time` tries.

use super::named;
use super::plausible::{self, Candidate};

/// One kind of secret.
pub(super) struct BuiltIn {
    pub id: &'static str,
    /// What it finds, for people.
    pub what: &'static str,
    pub keywords: &'static [&'static str],
    /// Nothing is found in a text without this.
    pub needs: &'static str,
    pub patterns: &'static [&'static str],
    /// The last word on a match.
    pub accept: fn(&Candidate<'_>) -> bool,
}

const ALWAYS: fn(&Candidate<'_>) -> bool = |_| true;

/// Secrets that are known by their form.
pub(super) const KNOWN_FORMS: &[BuiltIn] = &[
    BuiltIn {
        id: "private-key",
        what: "private keys: PEM, OpenSSH, PGP, PuTTY; also cut off at either end, or on one line with `\\n`",
        keywords: &["PRIVATE KEY", "Private-Lines:", "openssh-key-v1"],
        needs: "",
        patterns: &[
            r"-{4,5} ?BEGIN[ A-Z0-9]*PRIVATE KEY(?: BLOCK)? ?-{4,5}[\s\S]*?-{4,5} ?END[ A-Z0-9]*PRIVATE KEY(?: BLOCK)? ?-{4,5}",
            r"-{4,5} ?BEGIN[ A-Z0-9]*PRIVATE KEY(?: BLOCK)?(?: ?-{4,5}(?:(?:\s|\\+[nrt])+(?:(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash): [^\r\n\\]*|[A-Za-z0-9+/=_-]{16,}))*(?:(?:\s|\\+[nrt])+[A-Za-z0-9+/]{1,76}={0,2})?)?",
            r"(?:[A-Za-z0-9+/=]{16,}(?:\s|\\+[nrt])+)*[A-Za-z0-9+/=]{4,}(?:\s|\\+[nrt])*-{4,5} ?END[ A-Z0-9]*PRIVATE KEY(?: BLOCK)? ?-{4,5}",
            r"Private-Lines: ?[0-9]+[\s\S]*?Private-MAC: ?[0-9a-fA-F]+",
            r"Private-Lines: ?[0-9]+(?:(?:\s|\\+[nrt])+[A-Za-z0-9+/=]{16,})*(?:(?:\s|\\+[nrt])+[A-Za-z0-9+/]{1,76}={0,2})?",
            // In a body that is decoded.
            r"openssh-key-v1\x00",
        ],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "age-key",
        what: "age secret keys",
        keywords: &["AGE-SECRET-KEY-"],
        needs: "",
        patterns: &["AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Za-z]{20,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "aws-access-key",
        what: "AWS: access key ids, Bedrock keys, signatures and tokens in signed URLs",
        keywords: &["AKIA", "ASIA", "ABIA", "ACCA", "ABSK", "x-amz-"],
        needs: "",
        patterns: &[
            "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
            "ABSK[0-9A-Za-z+/]{60,}={0,2}",
            r#"(?i)x-amz-(?:signature|security-token|credential)=([^&\s"'<>\\]+)"#,
        ],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "aws-secret-key",
        what: "AWS: a secret access key beside its id (after a name, `password` finds it)",
        keywords: &["AKIA", "ASIA"],
        needs: "",
        patterns: &[r#"(?:AKIA|ASIA)[A-Z2-7]{16}[\s"'\\,;:|=]{1,12}([0-9A-Za-z/+]{40})"#],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "gcp-key",
        what: "Google: API keys, OAuth access tokens, refresh tokens and client secrets",
        keywords: &["AIza", "ya29.", "GOCSPX-", "1//0"],
        needs: "",
        patterns: &[
            "AIza[0-9A-Za-z_-]{30,}",
            r"ya29\.[0-9A-Za-z_-]{20,}",
            "GOCSPX-[0-9A-Za-z_-]{20,}",
            "1//0[0-9A-Za-z_-]{30,}",
        ],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "azure-key",
        what: "Azure: storage and bus keys, client secrets, shared access signatures, DevOps tokens",
        keywords: &["accountkey", "sharedaccesskey", "Q~", "sig=", "AZDO"],
        needs: "",
        patterns: &[
            r"(?i)(?:AccountKey|SharedAccessKey)\s{0,3}=\s{0,3}([0-9A-Za-z+/]{40,}={0,2})",
            r"[0-9A-Za-z_~.-]{3}[0-9]Q~[0-9A-Za-z_~.-]{31,}",
            r"(?i)[?&](?:amp;)?sig=([0-9A-Za-z%+/=_-]{30,})",
            "[0-9A-Za-z]{50,}AZDO[0-9A-Za-z]{4,}",
        ],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "github-pat",
        what: "GitHub: personal access tokens, classic and fine-grained",
        keywords: &["ghp_", "github_pat_"],
        needs: "",
        patterns: &["ghp_[0-9A-Za-z_]{30,}|github_pat_[0-9A-Za-z_]{22,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "github-token",
        what: "GitHub: OAuth, app, installation and refresh tokens",
        keywords: &["gho_", "ghu_", "ghs_", "ghr_"],
        needs: "",
        // An installation's token has a JWT in it.
        patterns: &["gh[our]_[0-9A-Za-z_]{30,}|ghs_[0-9A-Za-z._-]{30,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "gitlab-token",
        what: "GitLab: personal, project, deploy, runner, trigger, job, agent, feed and mail tokens, OAuth secrets",
        keywords: &[
            "glpat-",
            "glptt-",
            "gldt-",
            "glrt-",
            "glrtr-",
            "glcbt-",
            "glimt-",
            "glft-",
            "glsoat-",
            "glagent-",
            "gloas-",
            "glffct-",
            "glwt-",
            "GR1348941",
        ],
        needs: "",
        patterns: &[
            r"gl(?:pat|ptt|dt|rtr?|cbt|imt|ft|soat|agent|oas|ffct|wt)-[0-9A-Za-z_-]{20,}(?:\.[0-9A-Za-z_-]+){0,3}",
            "GR1348941[0-9A-Za-z_-]{20,}",
        ],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "slack-token",
        what: "Slack: bot, user, app and legacy tokens",
        keywords: &["xox", "xapp-"],
        needs: "",
        patterns: &[r"xox[abceoprs](?:\.xox[bp])?-[0-9A-Za-z-]{10,}|xapp-[0-9]-[0-9A-Za-z-]{10,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "slack-webhook",
        what: "Slack: the secret part of webhook URLs",
        keywords: &["hooks.slack"],
        needs: "",
        patterns: &[r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/([0-9A-Za-z+/_-]{20,})"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "stripe-key",
        what: "Stripe: secret and restricted keys, webhook secrets",
        keywords: &["sk_live_", "sk_test_", "sk_prod_", "rk_live_", "rk_test_", "rk_prod_", "whsec_"],
        needs: "",
        patterns: &["[sr]k_(?:live|test|prod)_[0-9A-Za-z]{16,}|whsec_[0-9A-Za-z+/=_-]{20,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "anthropic-key",
        what: "Anthropic: API, admin, OAuth and session keys",
        keywords: &["sk-ant-"],
        needs: "",
        patterns: &["sk-ant-[a-z]+[0-9]{2}-[0-9A-Za-z_-]{20,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "openai-key",
        what: "OpenAI, and others who begin keys with `sk-`",
        keywords: &["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-", "sk-service-", "T3BlbkFJ", "^sk-"],
        needs: "",
        patterns: &[
            "sk-(?:proj|svcacct|admin|None|service)-[0-9A-Za-z_-]{20,}",
            "sk-[0-9A-Za-z_-]{16,}T3BlbkFJ[0-9A-Za-z_-]{16,}",
            "(?:^|[^0-9A-Za-z])(sk-(?:or-v1-|lf-)?[0-9A-Za-z]{32,})",
        ],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "npm-token",
        what: "npm: access tokens, and `_auth` in its settings",
        keywords: &["npm_", "_auth:=", "_authtoken:="],
        needs: "",
        patterns: &[
            "npm_[0-9A-Za-z]{36,}",
            r#"_auth(?:Token)?["']?[ \t]{0,3}=[ \t]{0,3}["']?([0-9A-Za-z+/=_.-]{6,})"#,
        ],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "pypi-token",
        what: "PyPI: upload tokens",
        keywords: &["pypi-AgE"],
        needs: "",
        patterns: &["pypi-AgE[0-9A-Za-z_-]{50,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "huggingface-token",
        what: "Hugging Face: user and organisation tokens",
        keywords: &["hf_", "api_org_"],
        needs: "",
        patterns: &["(?:hf|api_org)_[0-9A-Za-z]{30,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "sendgrid-key",
        what: "SendGrid: API keys",
        keywords: &["SG."],
        needs: "",
        patterns: &[r"SG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "twilio-key",
        what: "Twilio: API keys, and auth tokens after the word",
        keywords: &["SK", "twilio"],
        needs: "",
        patterns: &[
            "SK[0-9a-fA-F]{32}",
            r"(?i)twilio[^\r\n]{0,60}?[^0-9A-Za-z]([0-9a-f]{32})(?:[^0-9A-Za-z]|$)",
        ],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "digitalocean-token",
        what: "DigitalOcean: personal, OAuth and refresh tokens",
        keywords: &["dop_v1_", "doo_v1_", "dor_v1_", "dot_v1_"],
        needs: "",
        patterns: &["do[oprt]_v1_[0-9a-f]{40,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "docker-token",
        what: "Docker Hub: personal and organisation access tokens",
        keywords: &["dckr_pat_", "dckr_oat_"],
        needs: "",
        patterns: &["dckr_[po]at_[0-9A-Za-z_-]{20,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "vault-token",
        what: "HashiCorp: Vault tokens, Terraform Cloud tokens",
        keywords: &["hvs.", "hvb.", "hvr.", ".atlasv1."],
        needs: "",
        patterns: &[r"hv[bsr]\.[0-9A-Za-z_-]{20,}", r"[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{40,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "atlassian-token",
        what: "Atlassian: API tokens, Bitbucket app passwords and access tokens",
        keywords: &["ATATT3", "ATCTT3", "ATSTT3", "ATBB"],
        needs: "",
        patterns: &["AT(?:ATT3|CTT3|STT3|BB)[0-9A-Za-z_=-]{28,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "databricks-token",
        what: "Databricks: personal access tokens",
        keywords: &["dapi"],
        needs: "",
        patterns: &["dapi[0-9a-f]{32}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "fly-token",
        what: "Fly.io: access tokens",
        keywords: &["fm1r_", "fm1a_", "fm2_", "fo1_"],
        needs: "",
        patterns: &["(?:fm1[ar]|fm2|fo1)_[0-9A-Za-z+/=_-]{30,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "heroku-key",
        what: "Heroku: API keys",
        keywords: &["HRKU-"],
        needs: "",
        patterns: &["HRKU-[0-9A-Za-z_-]{30,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "alibaba-key",
        what: "Alibaba Cloud: access key ids",
        keywords: &["LTAI"],
        needs: "",
        patterns: &["LTAI[0-9A-Za-z]{12,}"],
        accept: plausible::is_not_readable,
    },
    BuiltIn {
        id: "shopify-token",
        what: "Shopify: access tokens, shared secrets",
        keywords: &["shpat_", "shpca_", "shppa_", "shpss_", "shptka_"],
        needs: "",
        patterns: &["shp(?:at|ca|pa|ss|tka)_[0-9A-Za-z]{24,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "doppler-token",
        what: "Doppler: personal, service, CLI and audit tokens",
        keywords: &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.said.", "dp.scim.", "dp.audit."],
        needs: "",
        patterns: &[r"dp\.(?:pt|st|ct|sa|said|scim|audit)\.(?:[0-9a-z_-]{1,64}\.)?[0-9A-Za-z]{40,}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "jwt",
        what: "JSON Web Tokens, signed or encrypted",
        keywords: &["eyJ"],
        needs: ".",
        patterns: &[r"eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}(?:\.[0-9A-Za-z_-]*){0,3}"],
        accept: ALWAYS,
    },
    BuiltIn {
        id: "url-password",
        what: "the password in a URL, or a token in the place of the user",
        keywords: &["://", r":\/\/"],
        needs: "@",
        patterns: &[
            // A password goes on behind an `@`, also one with a slash, if what comes between is no host with a dot or port.
            r#":\\?/\\?/[^\s/@:"'<>\\]*:([^\s"'<>@]+(?:@(?:[^\s"'<>@/?#.:]+[/?#][^\s"'<>@:]*|[^\s"'<>@/?#]+))*)@"#,
            r#":\\?/\\?/([^\s/@:"'<>\\]{16,})@"#,
        ],
        accept: plausible::is_url_password,
    },
];

/// A name, a separator, a value: quoted, in escaped quotes, or bare. What the name says is looked up in [`super::named`].
const ASSIGNMENT: &str = r#"(?i)(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|key|credentials?)(?:\\*["'`])?[ \t]{0,3}(?:=>|:=|={1,3}|:)[ \t]{0,3}(?:"((?:[^"\\\r\n]|\\[^\r\n])+)|'((?:[^'\\\r\n]|\\[^\r\n])+)|\\+["']([^"'\\\r\n]+)|([^\s"'`\\&;,<>]*[^\s"'`\\&;,<>)\]}]))"#;

/// An element of XML, and its text.
const ELEMENT: &str =
    r"(?i)(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|key|credentials?)>([^<>\r\n]+)<\\?/";

/// What only a name or its place tells to be secret. Where a known form fits, too, that one is named.
pub(super) const NAMED: &[BuiltIn] = &[
    BuiltIn {
        id: AUTHORIZATION,
        what: "what follows `Authorization:` or `Bearer`; a value under such a key",
        keywords: &["authorization:=", "bearer"],
        needs: "",
        patterns: &[
            r#"(?i)authorization["'\\]{0,4}\s{0,3}[:=,]\s{0,3}["'\\]{0,4}(?:bearer|basic|token|apikey|bot|digest|negotiate)\s{1,3}([^\s"'\\,;<>]{4,})"#,
            r#"(?i)authorization["'\\]{0,4}\s{0,3}[:=]\s{0,3}["'\\]{0,4}([^\s"'\\,;<>]{8,})"#,
            r"(?i)\bbearer\s{1,3}([0-9A-Za-z._~+/=-]{8,})",
        ],
        accept: plausible::is_header_value,
    },
    BuiltIn {
        id: PASSWORD,
        what: "what is assigned to `password`, `client_secret`, `api_key` and the like, in text, flags and JSON",
        keywords: &[
            "password:=",
            "passwd:=",
            "passphrase:=",
            "passcode:=",
            "pass:=",
            "pwd:=",
            "secret:=",
            "token:=",
            "key:=",
        ],
        needs: "",
        patterns: &[ASSIGNMENT, ELEMENT],
        accept: named::is_password,
    },
    BuiltIn {
        id: "netrc",
        what: "the passwords in `.netrc`",
        keywords: &["machine ", "login ", "login\t"],
        needs: "password",
        patterns: &[
            r#"(?:machine|login)[ \t]{1,8}\S{1,200}?(?:\s|\\+[nrt]){1,16}password(?:\s|\\+[nrt]){1,8}([^\s"'\\,;]+)"#,
        ],
        accept: plausible::is_password,
    },
    BuiltIn {
        id: "command-line",
        what: "what follows `--password`, `--token` and the like, `curl -u user:`, and SQL's `PASSWORD '…'`, in text",
        keywords: &[
            "-password ",
            "-passwd ",
            "-passphrase ",
            "-token ",
            "-key ",
            "-secret ",
            "-bearer ",
            "password '",
            "identified by",
            "curl ",
        ],
        needs: "",
        patterns: &[
            r#"(?i)-(?:password|passwd|passphrase|(?:api|secret|access|private)-key|client-secret|token|oauth2-bearer) {1,3}["']?([^\s"'`\\&;,<>-][^\s"'`\\&;,<>]*)"#,
            r"(?i)(?:password|identified by)\s{1,3}'([^'\r\n]+)",
            r#"(?i)curl[ \t][^\r\n|;]{0,100}?[ \t](?:-u|--user|--proxy-user)[ \t=]{0,3}["']?[^\s:"']+:([^\s"']+)"#,
        ],
        accept: named::is_argument,
    },
    BuiltIn {
        id: SECRET,
        what: "what is assigned to `token`, `secret` or `credential`, if it looks random",
        keywords: &["secret:=", "token:=", "credential:=", "credentials:="],
        needs: "",
        patterns: &[ASSIGNMENT, ELEMENT],
        accept: named::is_secret,
    },
];

/// The rules for what a JSON key or a flag names.
pub(super) const AUTHORIZATION: &str = "authorization";
pub(super) const PASSWORD: &str = "password";
pub(super) const SECRET: &str = "secret";
