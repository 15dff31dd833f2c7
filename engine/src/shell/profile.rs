//! `~/.config/chancery/profiles.toml`: what a user would otherwise write on the command line each time. It holds no password, only
//! where one is found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::error::ShellError;
use super::options::SqlArgs;
use crate::config::environment;

/// One of the file's profiles.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    url: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    password_command: Option<String>,
    tls_ca: Option<PathBuf>,
    /// What the session asks for from its start.
    pub(super) purpose: Option<String>,
    format: Option<String>,
    timing: Option<String>,
    /// Only to be refused with a word of advice.
    password: Option<toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profiles {
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

/// The profile of that name; without a name, an empty one.
pub(super) fn find(name: Option<&str>) -> Result<Profile, ShellError> {
    let Some(name) = name else { return Ok(Profile::default()) };
    let file =
        file().ok_or_else(|| ShellError::Usage("a profile is asked for, and there is no home directory".to_owned()))?;
    let text = std::fs::read_to_string(&file)
        .map_err(|error| ShellError::Usage(format!("cannot read the profiles in {}: {error}", file.display())))?;
    read(&file, &text, name)
}

/// The file's place by the XDG base directory specification, by which a relative path counts as none.
fn file() -> Option<PathBuf> {
    let directory = |name| environment::variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(config.join("chancery").join("profiles.toml"))
}

fn read(file: &Path, text: &str, name: &str) -> Result<Profile, ShellError> {
    let usage = |what: String| ShellError::Usage(format!("{}: {what}", file.display()));
    let mut profiles: Profiles =
        toml::from_str(text).map_err(|error| usage(error.to_string().trim_end().to_owned()))?;
    let known = profiles.profile.keys().cloned().collect::<Vec<_>>().join(", ");
    let Some(profile) = profiles.profile.remove(name) else {
        return Err(usage(format!("there is no [profile.{name}]; there are: {known}")));
    };
    if profile.password.is_some() {
        let advice = "use password_file, password_env or password_command";
        return Err(usage(format!("[profile.{name}] holds a password; {advice}")));
    }
    Ok(profile)
}

impl Profile {
    /// Fills in what the command line leaves out.
    pub(super) fn complete(&self, args: &mut SqlArgs) -> Result<(), ShellError> {
        let value = |key: &str, text: &str, error: String| {
            ShellError::Usage(format!("the profile's {key} = \"{text}\": {error}"))
        };
        if let (None, Some(url)) = (&args.server, &self.url) {
            args.server = Some(url.parse().map_err(|error| value("url", url, error))?);
        }
        if let (None, Some(format)) = (&args.format, &self.format) {
            args.format =
                Some(clap::ValueEnum::from_str(format, true).map_err(|error| value("format", format, error))?);
        }
        if let (None, Some(timing)) = (&args.timing, &self.timing) {
            args.timing =
                Some(clap::ValueEnum::from_str(timing, true).map_err(|error| value("timing", timing, error))?);
        }
        args.user = args.user.take().or_else(|| self.user.clone());
        args.tls_ca = args.tls_ca.take().or_else(|| self.tls_ca.clone());
        args.password_file = args.password_file.take().or_else(|| self.password_file.clone());
        Ok(())
    }

    /// The password that the profile leads to, if it names no file.
    pub(super) fn password(&self) -> Result<Option<String>, ShellError> {
        if let Some(name) = &self.password_env {
            let unset = || ShellError::Usage(format!("the profile's password_env: {name} is not set"));
            return environment::variable(name).ok_or_else(unset).map(Some);
        }
        self.password_command.as_deref().map(printed_by).transpose()
    }
}

/// The first line that a command prints.
fn printed_by(command: &str) -> Result<String, ShellError> {
    let failed = |what: String| ShellError::Usage(format!("the profile's password_command: {what}"));
    let output = Command::new("sh").arg("-c").arg(command).stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("it ends with {}", output.status)));
    }
    match String::from_utf8_lossy(&output.stdout).lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(failed("it prints no password".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[profile.lab]\nurl = \"grpc+tls://lab:1\"\nuser = \"ana\"\npassword_command = \"echo secret\"\n\
        [profile.bad]\npassword = \"x\"\n";

    fn check(text: &str, name: &str, expect: &str) {
        let error = read(Path::new("profiles.toml"), text, name).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn a_profile_leads_to_its_password() {
        let profile = read(Path::new("profiles.toml"), FILE, "lab").unwrap();
        assert_eq!(profile.user.as_deref(), Some("ana"));
        assert_eq!(profile.password().unwrap().as_deref(), Some("secret"));
    }

    #[test]
    fn mistakes_are_named() {
        check(FILE, "labs", "there is no [profile.labs]; there are: bad, lab");
        check(FILE, "bad", "[profile.bad] holds a password; use password_file");
        check("[profile.lab]\nusr = \"x\"", "lab", "usr");
        let failing = Profile { password_command: Some("exit 3".to_owned()), ..Profile::default() };
        assert!(failing.password().unwrap_err().to_string().contains("exit status: 3"));
        let silent = Profile { password_command: Some("true".to_owned()), ..Profile::default() };
        assert!(silent.password().unwrap_err().to_string().contains("it prints no password"));
    }
}
