//! A PostgreSQL server of the bench's own, with the tasks in a table as an orchestrator would keep them there.
//!
//! Its data lie in a temporary directory, it listens on a Unix socket only, and it ends with the [`Postgres`], or with
//! the bench if that is killed. Nothing of an installed server's data or configuration is touched.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::sandbox::{Result, Sandbox, output};

/// Where Debian keeps them, one directory for each version. Its `/usr/bin/psql` is a script that costs more than a query.
const VERSIONS: &str = "/usr/lib/postgresql";

/// PostgreSQL does not run as root.
const ACCOUNT: &str = "postgres";

const PATIENCE: Duration = Duration::from_secs(30);

/// Task, status, time, agent, services and result as columns, the rest as JSON; what is asked for often has an index.
/// The table is filled before it is indexed, and left as autovacuum would leave it.
const LOAD: &str = r"
create table tasks (
    task_id uuid primary key,
    plan_id text,
    status text not null,
    agent_pool text,
    agent_id text,
    plan_steps jsonb,
    outcome jsonb,
    resources_used jsonb,
    services_touched text[] not null,
    error_message text,
    start_time timestamptz,
    end_time timestamptz,
    created_at timestamptz not null
);
create temporary table lines (line jsonb);
\copy lines from 'FILE' with (format csv, quote e'\x01', delimiter e'\x02')
insert into tasks
select
    (line ->> 'task_id')::uuid, line ->> 'plan_id', line ->> 'status',
    line #>> '{dispatch_info,agent_pool}', line #>> '{dispatch_info,agent_id}', line -> 'plan_steps',
    result -> 'outcome', result -> 'resources_used',
    array(select jsonb_array_elements_text(result -> 'services_touched')), line ->> 'error_message',
    (result ->> 'start_time')::timestamptz, (result ->> 'end_time')::timestamptz,
    (line ->> 'timestamp')::timestamptz
from lines, lateral (select line -> 'execution_result') as nested (result);
create index tasks_services on tasks using gin (services_touched);
create index tasks_status_time on tasks (status, created_at);
vacuum analyze tasks;
";

/// A running server.
pub(crate) struct Postgres {
    server: Child,
    programs: PathBuf,
    /// Data and socket; goes when the server has gone.
    directory: TempDir,
}

impl Postgres {
    /// Makes a server and starts it, with its default settings; an error says what is missing on this machine.
    pub(crate) fn start(sandbox: &Sandbox) -> Result<Self> {
        let programs = programs().ok_or("no PostgreSQL server is installed")?;
        // Not in the sandbox, which nobody else may enter.
        let directory = tempfile::Builder::new().prefix("git-audit-bench-pg-").tempdir()?;
        let is_root = fs::metadata(directory.path())?.uid() == 0;
        if is_root {
            let id = |flag| output(sandbox.command("id").args([flag, ACCOUNT]));
            let number = |flag| -> Result<u32> { Ok(String::from_utf8(id(flag)?.stdout)?.trim().parse()?) };
            chown(directory.path(), Some(number("-u")?), Some(number("-g")?))?;
        }
        let data = directory.path().join("data");
        let mut init = server_command(sandbox, directory.path(), is_root, &programs.join("initdb"))?;
        init.args(["--no-sync", "--auth=trust", "--username=bench", "--locale=C", "--encoding=UTF8", "-D"]);
        output(init.arg(&data))?;

        let log = directory.path().join("log");
        let mut start = server_command(sandbox, directory.path(), is_root, &programs.join("postgres"))?;
        start.arg("-D").arg(&data).arg("-k").arg(directory.path());
        start.args(["-c", "listen_addresses=", "-c", "timezone=UTC"]);
        start.stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut postgres = Self { server: start.spawn()?, programs, directory };
        postgres.wait_until_ready(sandbox).map_err(|error| {
            format!("{error}\n{}", fs::read_to_string(&log).unwrap_or_default().trim_end())
        })?;
        Ok(postgres)
    }

    fn wait_until_ready(&mut self, sandbox: &Sandbox) -> Result<()> {
        let start = Instant::now();
        while output(&mut self.query(sandbox, "select 1")).is_err() {
            if self.server.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err("the PostgreSQL server does not start".into());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The table `tasks`, filled from a file of JSON Lines.
    pub(crate) fn load(&self, sandbox: &Sandbox, json_lines: &Path) -> Result<()> {
        let file = json_lines.display().to_string().replace('\'', "''");
        let script = sandbox.path("load.sql");
        fs::write(&script, LOAD.replace("FILE", &file))?;
        output(self.psql(sandbox).arg("-f").arg(script))?;
        Ok(())
    }

    /// One query in a process of its own; its rows are lines of plain text.
    pub(crate) fn query(&self, sandbox: &Sandbox, sql: &str) -> Command {
        let mut psql = self.psql(sandbox);
        psql.args(["-c", sql]);
        psql
    }

    fn psql(&self, sandbox: &Sandbox) -> Command {
        let mut psql = sandbox.command(self.programs.join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "bench", "-d", "postgres", "-h"]);
        psql.arg(self.directory.path());
        psql
    }
}

impl Drop for Postgres {
    /// Asks for a shutdown that waits for nobody, and sees to it.
    fn drop(&mut self) {
        let ask = r#"kill -INT "$1""#;
        let pid = self.server.id().to_string();
        let asked = Command::new("sh").args(["-c", ask, "sh", &pid]).status();
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < PATIENCE {
            match self.server.try_wait() {
                Ok(None) => sleep(Duration::from_millis(20)),
                _ => return,
            }
        }
        if self.server.kill().is_ok() {
            // Only so that no zombie stays; there is nothing to be done about an error.
            drop(self.server.wait());
        }
    }
}

/// A program that makes or is the server: not as root, and ending when the bench ends, however that comes.
fn server_command(sandbox: &Sandbox, directory: &Path, is_root: bool, program: &Path) -> Result<Command> {
    let mut command = sandbox.command("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root {
        command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups"]);
    }
    output(sandbox.command("setpriv").arg("--version"))?;
    command.arg(program).current_dir(directory);
    Ok(command)
}

/// The directory with the programs of the newest server.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let mut versions: Vec<u32> =
        versions.filter_map(|item| item.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable();
    let debian =
        versions.iter().rev().map(|version| Path::new(VERSIONS).join(version.to_string()).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let all = debian.chain(env::split_paths(&path).collect::<Vec<_>>());
    let mut complete = all
        .filter(|directory| ["initdb", "postgres", "psql"].iter().all(|name| directory.join(name).exists()));
    complete.next()
}
