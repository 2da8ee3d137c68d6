//! The client's configuration: profiles, each a server with how it is spoken to and as whom. A file of the user's, so that no command has to be told twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::screening::similarity::closest;

/// The variable that names the file.
pub(super) const FILE: &str = "SELFSAME_CLIENT_CONFIG";
/// Where it is when none is named, below the folder of the user's configuration.
const USUAL_FILE: &str = "selfsame/client.toml";
/// The profile that is meant when none is named.
const DEFAULT: &str = "default";

/// A server, how it is spoken to, and as whom. What is left out is asked of the command line, and then left at its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClientProfile {
    /// The server.
    pub(super) server: Option<String>,
    /// The authorities that its certificate may be of.
    pub(super) ca: Option<PathBuf>,
    /// What is shown to it.
    pub(super) cert: Option<PathBuf>,
    /// The key of that.
    pub(super) key: Option<PathBuf>,
    /// The file of the token.
    pub(super) token_file: Option<PathBuf>,
    /// The programme.
    pub(super) program: Option<String>,
    /// Who acts, where nobody is asked.
    #[serde(rename = "as")]
    pub(super) actor: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ClientConfig {
    profile: BTreeMap<String, ClientProfile>,
}

/// The profile that is meant: the one that was named, else the one called `default`, else an empty one.
///
/// # Errors
/// When one was named that is not there, or the file cannot be read or has mistakes.
pub(super) fn profile(named: Option<&str>) -> anyhow::Result<ClientProfile> {
    let given = std::env::var_os(FILE).filter(|file| !file.is_empty()).map(PathBuf::from);
    let file = given.clone().or_else(|| usual_file(|name| std::env::var_os(name).map(PathBuf::from)));
    let Some(file) = file.filter(|file| given.is_some() || file.exists()) else {
        return match named {
            None => Ok(ClientProfile::default()),
            Some(name) => {
                bail!("there is no profile `{name}`: no client configuration was found (~/.config/{USUAL_FILE}, or {FILE})")
            }
        };
    };
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("reading the client configuration `{}`", file.display()))?;
    profile_in(&text, &file, named)
}

/// Where the file usually is: below `XDG_CONFIG_HOME`, or below `.config` of the user's folder.
fn usual_file(folder: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let configuration = folder("XDG_CONFIG_HOME").filter(absolute);
    configuration.or_else(|| Some(folder("HOME").filter(absolute)?.join(".config"))).map(|folder| folder.join(USUAL_FILE))
}

/// One profile of a file's text. Paths in it are meant from the folder of the file.
fn profile_in(text: &str, file: &Path, named: Option<&str>) -> anyhow::Result<ClientProfile> {
    let shown = file.display();
    let config: ClientConfig = toml::from_str(text).with_context(|| format!("the client configuration `{shown}`"))?;
    let mut profiles = config.profile;
    let mut found = match (profiles.remove(named.unwrap_or(DEFAULT)), named) {
        (Some(found), _) => found,
        (None, None) => return Ok(ClientProfile::default()),
        (None, Some(name)) => match closest(name, profiles.keys().map(String::as_str)) {
            Some(near) => bail!("there is no profile `{name}` in `{shown}`; did you mean `{near}`?"),
            None => bail!("there is no profile `{name}` in `{shown}`; write it as `[profile.{name}]`"),
        },
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    for path in [&mut found.ca, &mut found.cert, &mut found.key, &mut found.token_file].into_iter().flatten() {
        *path = folder.join(&*path);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
[profile.default]
server = \"http://127.0.0.1:50051\"

[profile.production]
server = \"https://selfsame.internal:50051\"
ca = \"ca.pem\"
cert = \"/etc/rita.pem\"
key = \"rita.key\"
token_file = \"token\"
program = \"shop\"
as = \"rita\"
";

    fn of(named: Option<&str>) -> anyhow::Result<ClientProfile> {
        profile_in(TEXT, Path::new("/home/rita/.config/selfsame/client.toml"), named)
    }

    #[test]
    fn a_profile_says_all_there_is_and_its_files_are_beside_it() {
        let production = of(Some("production")).unwrap();
        let beside = |name: &str| Some(PathBuf::from("/home/rita/.config/selfsame").join(name));
        let expected = ClientProfile {
            server: Some("https://selfsame.internal:50051".to_owned()),
            ca: beside("ca.pem"),
            cert: Some("/etc/rita.pem".into()),
            key: beside("rita.key"),
            token_file: beside("token"),
            program: Some("shop".to_owned()),
            actor: Some("rita".to_owned()),
        };
        assert_eq!(production, expected);
        assert_eq!(of(None).unwrap().server.as_deref(), Some("http://127.0.0.1:50051"));
    }

    #[test]
    fn a_name_or_a_key_that_is_none_is_told_with_what_was_meant() {
        let refused = of(Some("producton")).unwrap_err().to_string();
        assert!(refused.contains("did you mean `production`?"), "{refused}");
        let refused = format!("{:#}", profile_in("[profile.x]\nsever = \"a\"", Path::new("c"), None).unwrap_err());
        assert!(refused.contains("sever") && refused.contains("server"), "{refused}");
        assert_eq!(profile_in("", Path::new("c"), None).unwrap(), ClientProfile::default());
    }

    #[test]
    fn the_file_is_where_the_users_configuration_is() {
        let of = |xdg: &'static str, home: &'static str| {
            usual_file(|name| Some(PathBuf::from(if name == "HOME" { home } else { xdg })))
        };
        assert_eq!(of("/x", "/home/a"), Some("/x/selfsame/client.toml".into()));
        assert_eq!(of("", "/home/a"), Some("/home/a/.config/selfsame/client.toml".into()));
        assert_eq!(of("", ""), None);
    }
}
