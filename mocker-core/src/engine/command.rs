//! What a container runs: the image's configuration with the user's on top.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::engine::RunRequest;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Config, printable};

/// Where programs are looked for when the image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Lays the request over the image's configuration.
///
/// The result is the container's own configuration, which a commit keeps, and
/// the argument vector: entry point, then the user's words or the image's.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where there is nothing to run, or a setting is
/// malformed.
pub(super) fn resolve(image: &Config, request: &RunRequest) -> Result<(Config, Vec<OsString>)> {
    let mut config = image.clone();
    for entry in &request.env {
        match entry.split_once('=') {
            Some((name, value)) if !name.is_empty() => config.set_env(name, value),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("'{}' is not an environment variable", printable(entry)),
                )
                .with_hint("use NAME=VALUE"));
            }
        }
    }
    if let Some(user) = &request.user {
        config.user.clone_from(user);
    }
    if let Some(directory) = &request.workdir {
        if !directory.starts_with('/') {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the working directory '{}' is not absolute", printable(directory)),
            )
            .with_hint("it is a path inside the container, such as /srv"));
        }
        config.working_dir.clone_from(directory);
    }
    if let Some(entrypoint) = &request.entrypoint {
        config.entrypoint = if entrypoint.is_empty() { Vec::new() } else { vec![entrypoint.clone()] };
        config.cmd.clear();
    }
    let words = if request.command.is_empty() {
        config.cmd.iter().map(OsString::from).collect()
    } else {
        user_command(&request.command, !config.entrypoint.is_empty())?
    };
    config.cmd = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let argv: Vec<OsString> = config.entrypoint.iter().map(OsString::from).chain(words).collect();
    if argv.first().is_none_or(|program| program.is_empty()) {
        return Err(Error::new(ErrorKind::InvalidInput, "there is no command to run: the image has none")
            .with_hint(
                "name one, as in 'mocker run IMAGE sh', or give the image one: \
             mocker commit -c 'CMD [\"sh\"]' CONTAINER IMAGE",
            ));
    }
    Ok((config, argv))
}

/// The user's words; one word that holds white space goes to a shell, as in
/// the programs that this one grew out of.
fn user_command(words: &[OsString], after_entrypoint: bool) -> Result<Vec<OsString>> {
    let blank = |word: &OsStr| word.as_bytes().iter().all(u8::is_ascii_whitespace);
    if !after_entrypoint && words.first().is_some_and(|word| blank(word)) {
        return Err(Error::new(ErrorKind::InvalidInput, "the command is empty")
            .with_hint("name a program, as in 'mocker run IMAGE sh'"));
    }
    match words {
        [line] if !after_entrypoint && line.as_bytes().iter().any(u8::is_ascii_whitespace) => {
            Ok(vec!["/bin/sh".into(), "-c".into(), line.clone()])
        }
        words => Ok(words.to_vec()),
    }
}

/// The complete environment of the command, in the order of the image.
pub(super) fn environment(config: &Config, hostname: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut complete = config.clone();
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOSTNAME", hostname)] {
        if complete.env_value(name).is_none() {
            complete.set_env(name, value);
        }
    }
    let split = |entry: &String| {
        let (name, value) = entry.split_once('=')?;
        Some((name.as_bytes().to_vec(), value.as_bytes().to_vec()))
    };
    complete.env.iter().filter_map(split).collect()
}

/// An argument vector as a person would type it in a shell.
pub fn shown<W: AsRef<OsStr>>(argv: &[W]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=@%+,".contains(letter);
    let word = |word: &W| {
        let text = word.as_ref().to_string_lossy();
        if !text.is_empty() && text.chars().all(plain) {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Config {
        Config { env: vec!["A=1".into()], cmd: vec!["serve".into(), "all".into()], ..Config::default() }
    }

    fn request(command: &[&str]) -> RunRequest {
        RunRequest { command: command.iter().map(OsString::from).collect(), ..RunRequest::default() }
    }

    #[test]
    fn the_users_words_replace_the_command_and_follow_the_entry_point() {
        let (_, argv) = resolve(&image(), &request(&[])).unwrap();
        assert_eq!(argv, ["serve", "all"]);
        let with_entry = Config { entrypoint: vec!["/init".into()], ..image() };
        let (config, argv) = resolve(&with_entry, &request(&["a b"])).unwrap();
        assert_eq!(argv, ["/init", "a b"]);
        assert_eq!(config.cmd, ["a b"]);
    }

    #[test]
    fn one_word_with_white_space_goes_to_a_shell_and_two_words_do_not() {
        assert_eq!(resolve(&image(), &request(&["echo hi"])).unwrap().1, ["/bin/sh", "-c", "echo hi"]);
        assert_eq!(resolve(&image(), &request(&["echo", "a b"])).unwrap().1, ["echo", "a b"]);
    }

    #[test]
    fn nothing_to_run_is_an_error_that_says_how() {
        for (config, command) in [(Config::default(), vec![]), (image(), vec![""]), (image(), vec!["  "])] {
            let error = resolve(&config, &request(&command)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn another_entry_point_drops_the_images_command() {
        let request = RunRequest { entrypoint: Some("/bin/id".into()), ..request(&[]) };
        assert_eq!(resolve(&image(), &request).unwrap().1, ["/bin/id"]);
    }

    #[test]
    fn the_environment_is_complete_and_the_users_wins() {
        let request = RunRequest { env: vec!["A=2".into(), "PATH=/x".into()], ..request(&[]) };
        let (config, _) = resolve(&image(), &request).unwrap();
        let expected = [("A", "2"), ("PATH", "/x"), ("HOSTNAME", "h")];
        let expected = expected.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        assert_eq!(environment(&config, "h"), expected);
    }
}
