//! The Dockerfile instructions that `commit --change` takes.
//!
//! The words mean what they mean in a Dockerfile: the exec form is a JSON
//! array, the shell form is handed to `/bin/sh -c`; quotes, backslashes and
//! `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME:+word}` are understood in ENV,
//! LABEL, EXPOSE, USER, VOLUME, WORKDIR and STOPSIGNAL, with values from the
//! config's own ENV.

use crate::error::{Error, ErrorKind, Result};
use crate::image::config::{Config, Empty};
use crate::image::name::printable;

/// Applies one instruction, such as `ENV PATH=/opt/bin:$PATH`, to `config`.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where the instruction is none of the ten, or
/// its arguments do not fit it; `config` is then unchanged.
pub fn apply_change(config: &mut Config, instruction: &str) -> Result<()> {
    let text = instruction.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let refuse = |why: &str| {
        Error::new(ErrorKind::InvalidInput, format!("cannot apply the change '{}': {why}", printable(text)))
            .with_hint(
                "the instructions are ENV CMD ENTRYPOINT WORKDIR USER LABEL EXPOSE VOLUME STOPSIGNAL ONBUILD",
            )
    };
    if rest.is_empty() {
        return Err(refuse("it has no argument"));
    }
    if rest.contains('\0') {
        return Err(refuse("it holds a NUL byte"));
    }
    match word.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = command(rest).map_err(refuse)?,
        "ENTRYPOINT" => {
            config.entrypoint = command(rest).map_err(refuse)?;
            // A new entry point makes the old arguments meaningless, as in a Dockerfile.
            config.cmd.clear();
        }
        "ENV" => {
            for (name, value) in pairs(config, rest).map_err(refuse)? {
                config.set_env(&name, &value);
            }
        }
        "LABEL" => config.labels.extend(pairs(config, rest).map_err(refuse)?),
        "EXPOSE" => {
            let ports: Result<Vec<_>, _> =
                words(config, rest).map_err(refuse)?.iter().map(|p| port(p)).collect();
            config.exposed_ports.extend(ports.map_err(refuse)?.into_iter().map(|port| (port, Empty {})));
        }
        "VOLUME" => {
            let paths = match exec_form(rest) {
                Some(paths) => paths.map_err(refuse)?,
                None => words(config, rest).map_err(refuse)?,
            };
            config.volumes.extend(paths.into_iter().map(|path| (path, Empty {})));
        }
        "USER" => config.user = single(config, rest).map_err(refuse)?,
        "STOPSIGNAL" => config.stop_signal = single(config, rest).map_err(refuse)?,
        "WORKDIR" => {
            let path = single(config, rest).map_err(refuse)?;
            config.working_dir = if path.starts_with('/') {
                path
            } else {
                format!("{}/{path}", config.working_dir.trim_end_matches('/'))
            };
        }
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        _ => return Err(refuse("there is no such instruction")),
    }
    Ok(())
}

/// The exec form or the shell form of a command.
fn command(text: &str) -> Result<Vec<String>, &'static str> {
    match exec_form(text) {
        Some(Ok(words)) if words.first().is_some_and(String::is_empty) => Err("the command is empty"),
        Some(words) => words,
        None => Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()]),
    }
}

/// A JSON array of texts; `None` where the text is not meant as one.
fn exec_form(text: &str) -> Option<Result<Vec<String>, &'static str>> {
    if !text.starts_with('[') {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(words) => Some(Ok(words)),
        // A shell command may begin with '[' too: it is the name of test(1).
        Err(_) if text.starts_with("[ ") => None,
        Err(_) => Some(Err("it is not a JSON array of texts in double quotes")),
    }
}

/// `80`, `80/tcp`, `53/udp`: the protocol is written out.
fn port(text: &str) -> Result<String, &'static str> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = number.split_once('-').unwrap_or((number, number));
    let (first, last): (u16, u16) = match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => (first, last),
        _ => return Err("a port is a number up to 65535, with /tcp, /udp or /sctp behind it if you like"),
    };
    if first == 0 || last < first || !["tcp", "udp", "sctp"].contains(&protocol) {
        return Err("a port is a number from 1 to 65535, with /tcp, /udp or /sctp behind it if you like");
    }
    Ok(format!("{number}/{protocol}"))
}

/// One word.
fn single(config: &Config, text: &str) -> Result<String, &'static str> {
    let mut words = words(config, text)?;
    match (words.pop(), words.is_empty()) {
        (Some(word), true) if !word.is_empty() => Ok(word),
        _ => Err("it takes exactly one argument"),
    }
}

/// `NAME=VALUE …`, or the old form `NAME VALUE`.
fn pairs(config: &Config, text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let words = words(config, text)?;
    let first_has_equals = words.first().is_some_and(|word| word.contains('='));
    let pairs: Vec<(String, String)> = if first_has_equals {
        let split =
            |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        words.iter().map(split).collect::<Option<_>>().ok_or("every argument must be NAME=VALUE")?
    } else {
        let [name, value @ ..] = words.as_slice() else { return Err("it takes NAME=VALUE") };
        if value.is_empty() {
            return Err("it takes NAME=VALUE");
        }
        vec![(name.clone(), value.join(" "))]
    };
    if pairs.iter().any(|(name, _)| name.is_empty()) {
        return Err("a name is empty");
    }
    Ok(pairs)
}

/// Splits at white space, with quotes and backslashes taken off and variables
/// put in.
fn words(config: &Config, text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            ('\\', None | Some('"')) => {
                let next = letters.next().ok_or("it ends in a backslash")?;
                let word = word.get_or_insert_default();
                if quote.is_some() && !matches!(next, '"' | '\\' | '$') {
                    word.push('\\');
                }
                word.push(next);
            }
            ('$', None | Some('"')) => {
                let value = variable(config, &mut letters)?;
                word.get_or_insert_default().push_str(&value);
            }
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// What stands behind a `$`.
fn variable(
    config: &Config,
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<String, &'static str> {
    let is_name = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    if letters.next_if_eq(&'{').is_none() {
        let mut name = String::new();
        while let Some(letter) = letters.next_if(is_name) {
            name.push(letter);
        }
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        return Ok(config.env_value(&name).unwrap_or_default().to_owned());
    }
    let mut inside = String::new();
    loop {
        match letters.next() {
            Some('}') => break,
            Some(letter) => inside.push(letter),
            None => return Err("'${' is not closed"),
        }
    }
    let name: String = inside.chars().take_while(is_name).collect();
    let value = config.env_value(&name).unwrap_or_default();
    match (&inside[name.len()..], name.is_empty()) {
        ("", false) => Ok(value.to_owned()),
        (rest, false) if rest.starts_with(":-") && value.is_empty() => Ok(rest[2..].to_owned()),
        (rest, false) if rest.starts_with(":-") => Ok(value.to_owned()),
        (rest, false) if rest.starts_with(":+") && value.is_empty() => Ok(String::new()),
        (rest, false) if rest.starts_with(":+") => Ok(rest[2..].to_owned()),
        _ => Err("only ${NAME}, ${NAME:-word} and ${NAME:+word} are understood"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(changes: &[&str]) -> Config {
        let mut config = Config { env: vec!["PATH=/bin".into()], ..Config::default() };
        for change in changes {
            apply_change(&mut config, change).unwrap();
        }
        config
    }

    #[test]
    fn c14_every_instruction_takes_effect() {
        let config = after(&[
            "ENTRYPOINT [\"/bin/echo\", \"a b\"]",
            "CMD echo hi",
            "ENV A=1 B='two words' C=\"$PATH:x\"",
            "env D old form",
            "LABEL org.x=\"a b\" y=z",
            "EXPOSE 80 53/udp",
            "VOLUME /data /more",
            "USER nobody:users",
            "WORKDIR /srv",
            "WORKDIR app",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN make",
        ]);
        assert_eq!(config.entrypoint, ["/bin/echo", "a b"]);
        assert_eq!(config.cmd, ["/bin/sh", "-c", "echo hi"]);
        assert_eq!(config.env, ["PATH=/bin", "A=1", "B=two words", "C=/bin:x", "D=old form"]);
        assert_eq!(config.labels["org.x"], "a b");
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/data", "/more"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("nobody:users", "/srv/app"));
        assert_eq!((config.stop_signal.as_str(), config.on_build[0].as_str()), ("SIGQUIT", "RUN make"));
    }

    #[test]
    fn env_expands_the_old_value_and_replaces_it_in_place() {
        let config = after(&["ENV PATH=/opt/bin:${PATH}", "ENV X=${NOPE:-fallback} Y=\\$PATH Z='$PATH'"]);
        assert_eq!(config.env, ["PATH=/opt/bin:/bin", "X=fallback", "Y=$PATH", "Z=$PATH"]);
    }

    #[test]
    fn a_new_entry_point_drops_the_old_arguments() {
        assert!(after(&["CMD a", "ENTRYPOINT [\"/x\"]"]).cmd.is_empty());
    }

    #[test]
    fn bad_instructions_are_refused_and_change_nothing() {
        for bad in [
            "",
            "CMD",
            "FROM x",
            "CMD [\"a",
            "CMD [1]",
            "CMD [\"\"]",
            "ENV A",
            "ENV A=1 B",
            "ENV =x",
            "EXPOSE 0",
            "EXPOSE 70000",
            "EXPOSE 80/xyz",
            "USER a b",
            "WORKDIR 'x",
            "ENV A=${B",
            "ENV A=${B!x}",
            "LABEL a\\",
        ] {
            let mut config = after(&["CMD keep"]);
            let before = config.clone();
            let refused = apply_change(&mut config, bad).map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::InvalidInput), "{bad:?}");
            assert_eq!(config, before, "{bad:?}");
        }
    }

    #[test]
    fn a_shell_test_command_is_no_broken_json() {
        assert_eq!(after(&["CMD [ -e /x ] && echo y"]).cmd[2], "[ -e /x ] && echo y");
    }
}
