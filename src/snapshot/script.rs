//! The script that an interpreter executes, by its arguments: many processes of one interpreter have the same name.

use super::Identity;

/// Beginnings of the names of interpreters, and those of their options that take an argument of their own.
const INTERPRETERS: [(&[u8], &[&[u8]]); 9] = [
    (b"python", &[b"-W", b"-X", b"--check-hash-based-pycs"]),
    (b"pypy", &[b"-W", b"-X"]),
    (b"node", &[b"-r", b"--require", b"--import"]),
    (b"ruby", &[b"-r", b"-I"]),
    (b"perl", &[b"-I"]),
    (b"php", &[b"-d", b"-c"]),
    (b"bash", &[b"-O", b"-o"]),
    (b"dash", &[b"-o"]),
    (b"sh", &[b"-o"]),
];

impl Identity {
    /// The file name of the script, or the module of `python -m`; `None` for other programs, and where the program is an argument itself.
    #[must_use]
    pub fn script(&self) -> Option<&[u8]> {
        let mut arguments = self.cmdline.as_deref()?.split(|byte| *byte == 0).filter(|argument| !argument.is_empty());
        let program = file_name(arguments.next()?);
        let (_, with_argument) = INTERPRETERS.iter().find(|(name, _)| is_version_of(program, name))?;
        while let Some(argument) = arguments.next() {
            match argument {
                b"-m" => return arguments.next(),
                b"-c" | b"-e" | b"-" | b"--" => return None,
                option if with_argument.contains(&option) => drop(arguments.next()),
                option if option.starts_with(b"-") => {}
                script => return Some(file_name(script)).filter(|name| !name.is_empty()),
            }
        }
        None
    }
}

/// `python` and `python3.11`, but not `pythonista`.
fn is_version_of(program: &[u8], name: &[u8]) -> bool {
    let program = program.strip_prefix(b"-").unwrap_or(program);
    program.strip_prefix(name).is_some_and(|rest| rest.iter().all(|byte| byte.is_ascii_digit() || b".t".contains(byte)))
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_found_behind_options() {
        let tried: [(&str, Option<&str>); 14] = [
            ("/usr/bin/python3.11 -u /srv/app/worker.py --all", Some("worker.py")),
            ("python3.13t -X dev -W error run.py", Some("run.py")),
            ("python -m celery -A tasks worker", Some("celery")),
            ("python3 -c import_this", None),
            ("python3", None),
            ("python3 -", None),
            ("pythonista app.py", None),
            ("node --import ./hook.mjs server.js", Some("server.js")),
            ("-bash", None),
            ("/bin/sh /etc/init.d/cron start", Some("cron")),
            ("bash -c sleep", None),
            ("perl -I lib t/all.t", Some("all.t")),
            ("gunicorn: master [app]", None),
            ("", None),
        ];
        for (line, expected) in tried {
            let cmdline: Vec<u8> = line.bytes().map(|byte| if byte == b' ' { 0 } else { byte }).collect();
            let identity = Identity { cmdline: Some(cmdline.into()), ..Identity::default() };
            assert_eq!(identity.script(), expected.map(str::as_bytes), "{line}");
        }
    }
}
