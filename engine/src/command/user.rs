//! `chancery user`: who may ask a node, kept in its users file. Passwords come from a prompt, a file or standard input,
//! never from the command line, where every process of the machine could read them.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::subject::Attribute;
use policy::value::Value;

use crate::error::{Code, EngineError, Result};
use crate::identity::facts::Facts;
use crate::identity::password::StoredPassword;
use crate::identity::users_file::{self, User, UsersFile};

/// `chancery user …`
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Add a user; a running node believes it at once. With a certificate and no `--password-file` the user has no
    /// password.
    Add(AddArgs),
    /// Change what policies may know of a user, and the certificate; open sessions see it at once.
    Set(SetArgs),
    /// Give a user a new password; sessions opened with the old one end.
    Passwd(PasswdArgs),
    /// Remove a user; open sessions end.
    Remove(RemoveArgs),
    /// List the users.
    List(ListArgs),
}

/// `chancery user add`
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// The name.
    name: String,
    #[command(flatten)]
    certificate: CertificateArgs,
    #[command(flatten)]
    facts: FactsArgs,
    #[command(flatten)]
    place: Place,
}

/// `chancery user set`
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// The name.
    name: String,
    #[command(flatten)]
    certificate: CertificateArgs,
    #[command(flatten)]
    facts: FactsArgs,
    /// Forget this first; once for each.
    #[arg(long, value_enum, value_name = "FACT")]
    clear: Vec<Fact>,
    /// The users file.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// `chancery user remove`
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// The name.
    name: String,
    /// The users file.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// By what a user signs in, beside or in place of a password.
#[derive(Debug, clap::Args)]
struct CertificateArgs {
    /// A DNS name that the user's certificate carries and no other certificate of the node's authority does.
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
}

/// What policies may know of a user. With `set`, roles and purposes that are given replace all former ones.
#[derive(Debug, clap::Args)]
struct FactsArgs {
    /// A role; once for each.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// The organisation that the user acts for.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// A purpose that the user may choose; once for each.
    #[arg(long = "purpose", value_name = "PURPOSE")]
    purposes: Vec<String>,
    /// The purpose when the user chooses none; one of the purposes.
    #[arg(long, value_name = "PURPOSE")]
    default_purpose: Option<String>,
    /// A value that row filters compare with; once for each name. VALUE is written as in TOML (3, true, "12",
    /// ["north", "south"]); what is no whole number, true, false, text in quotes or list of these is a text as it stands.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = parse_attribute)]
    attributes: Vec<(String, Attribute)>,
}

/// What to forget.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Fact {
    Roles,
    Organisation,
    Purposes,
    DefaultPurpose,
    Attributes,
    Certificate,
    Password,
}

/// `chancery user passwd`
#[derive(Debug, clap::Args)]
pub struct PasswdArgs {
    /// The name.
    name: String,
    #[command(flatten)]
    place: Place,
}

/// `chancery user list`
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// The users file.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// Where the user is kept and where the password comes from.
#[derive(Debug, clap::Args)]
struct Place {
    /// The users file; `add` makes it when missing.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Read the password from the first line of this file, not from the prompt or standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `chancery user`.
///
/// # Errors
/// `CONFIG` when the users file or the password cannot be read, or the change is refused.
pub fn run(command: UserCommand) -> Result<ExitCode> {
    match command {
        UserCommand::Add(args) => {
            let certificate = args.certificate.certificate;
            let password = match (&certificate, args.place.password_file.as_deref()) {
                (Some(_), None) => None,
                (_, file) => Some(StoredPassword::hash(&read_password(file)?)?),
            };
            let mut facts = Facts::default();
            args.facts.give(&mut facts);
            let user = User { name: args.name.clone(), password, certificate, facts, disabled: false };
            users_file::add_user(&args.place.file, user)?;
            tell(&format!("added `{}` to {}", args.name, args.place.file.display()));
        }
        UserCommand::Set(args) => {
            users_file::set(&args.file, &args.name, |user| {
                args.clear.iter().for_each(|fact| fact.forget(user));
                user.certificate = args.certificate.certificate.or(user.certificate.take());
                args.facts.give(&mut user.facts);
            })?;
            tell(&format!("changed `{}` in {}", args.name, args.file.display()));
        }
        UserCommand::Remove(args) => {
            users_file::remove(&args.file, &args.name)?;
            tell(&format!("removed `{}` from {}", args.name, args.file.display()));
        }
        UserCommand::Passwd(args) => {
            let password = read_password(args.place.password_file.as_deref())?;
            users_file::set_password(&args.place.file, &args.name, &password)?;
            tell(&format!("changed the password of `{}` in {}", args.name, args.place.file.display()));
        }
        UserCommand::List(args) => {
            UsersFile::read(&args.file)?.iter().for_each(|user| tell(&describe(user)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl FactsArgs {
    /// Puts what was given in the place of what was known; an attribute replaces the one of its name only.
    fn give(self, facts: &mut Facts) {
        if !self.roles.is_empty() {
            facts.roles = self.roles.into_iter().collect();
        }
        if !self.purposes.is_empty() {
            facts.purposes = self.purposes.into_iter().collect();
        }
        facts.organisation = self.organisation.or(facts.organisation.take());
        facts.default_purpose = self.default_purpose.or(facts.default_purpose.take());
        facts.attributes.extend(self.attributes);
    }
}

impl Fact {
    fn forget(self, user: &mut User) {
        match self {
            Fact::Roles => user.facts.roles.clear(),
            Fact::Organisation => user.facts.organisation = None,
            Fact::Purposes => user.facts.purposes.clear(),
            Fact::DefaultPurpose => user.facts.default_purpose = None,
            Fact::Attributes => user.facts.attributes.clear(),
            Fact::Certificate => user.certificate = None,
            Fact::Password => user.password = None,
        }
    }
}

/// `NAME=VALUE`, the value as TOML if it is a value of ours there, else as text.
fn parse_attribute(text: &str) -> Result<(String, Attribute), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let as_text = || Attribute::One(Value::Text(value.to_string()));
    Ok((name.trim().to_string(), parse_toml(value).unwrap_or_else(as_text)))
}

fn parse_toml(value: &str) -> Option<Attribute> {
    let one = |value: toml::Value| match value {
        toml::Value::String(text) => Some(Value::Text(text)),
        toml::Value::Integer(number) => Some(Value::Integer(number)),
        toml::Value::Boolean(flag) => Some(Value::Boolean(flag)),
        _ => None,
    };
    let mut table: BTreeMap<String, toml::Value> = toml::from_str(&format!("value = {value}")).ok()?;
    match (table.remove("value")?, table.is_empty()) {
        (_, false) => None,
        (toml::Value::Array(values), true) => values.into_iter().map(one).collect::<Option<_>>().map(Attribute::Many),
        (value, true) => one(value).map(Attribute::One),
    }
}

fn describe(user: &User) -> String {
    let Facts { organisation, roles, purposes, default_purpose, attributes } = &user.facts;
    let mut told = vec![if user.disabled { "disabled" } else { "enabled" }.to_string()];
    let mut list = |what: &str, names: Vec<&str>| {
        if !names.is_empty() {
            told.push(format!("{what}: {}", names.join(", ")));
        }
    };
    list("organisation", organisation.iter().map(String::as_str).collect());
    list("roles", roles.iter().map(String::as_str).collect());
    list("purposes", purposes.iter().map(String::as_str).collect());
    list("default purpose", default_purpose.iter().map(String::as_str).collect());
    list("attributes", attributes.keys().map(String::as_str).collect());
    list("certificate", user.certificate.iter().map(String::as_str).collect());
    if user.password.is_none() {
        told.push("no password".to_string());
    }
    format!("{} ({})", user.name, told.join("; "))
}

fn read_password(file: Option<&Path>) -> Result<String> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| config(format!("{} cannot be read: {error}", path.display())))?;
        return Ok(first_line(&text).to_string());
    }
    if std::io::stdin().is_terminal() {
        return prompt_twice();
    }
    let mut line = String::new();
    let cannot = |error| config(format!("the password cannot be read from standard input: {error}"));
    std::io::stdin().lock().read_line(&mut line).map_err(cannot)?;
    Ok(first_line(&line).to_string())
}

fn prompt_twice() -> Result<String> {
    let cannot = |error| config(format!("the password cannot be read from the terminal: {error}"));
    let once = rpassword::prompt_password("Password: ").map_err(cannot)?;
    let twice = rpassword::prompt_password("Again: ").map_err(cannot)?;
    if once == twice { Ok(once) } else { Err(config("the two passwords differ; nothing is changed".to_string())) }
}

/// Without its line end only: a password may begin and end with spaces.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A closed pipe is no reason to fail: the change is made.
fn tell(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn config(sentence: String) -> EngineError {
    EngineError::new(Code::Config, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_toml_values_or_texts() {
        let text = |text: &str| Value::Text(text.to_string());
        for (written, expected) in [
            ("level=3", Attribute::One(Value::Integer(3))),
            ("on=true", Attribute::One(Value::Boolean(true))),
            ("code=\"12\"", Attribute::One(text("12"))),
            ("region=north=east", Attribute::One(text("north=east"))),
            ("since=2026-01-01", Attribute::One(text("2026-01-01"))),
            ("rate=1.5", Attribute::One(text("1.5"))),
            ("lines=1\nlevel = 9", Attribute::One(text("1\nlevel = 9"))),
            ("regions=[\"a\", \"b\"]", Attribute::Many(vec![text("a"), text("b")])),
            ("none=[]", Attribute::Many(Vec::new())),
        ] {
            assert_eq!(parse_attribute(written).unwrap().1, expected, "{written}");
        }
        parse_attribute("level").unwrap_err();
    }
}
