//! How the server ships: the image, the unit, the manifests and the compose file say what operators are promised, and agree with each other.

use std::process::Command;

use selfsame::adapters::config::{CommandLine, Config};
use serde::Deserialize as _;
use serde_json::Value;

use super::deploy::file;
use super::server::Server;

/// What closing may take after a drain.
const CLOSING_SECONDS: u64 = 10;

fn instructions(containerfile: &str, last_stage: bool) -> Vec<(String, String)> {
    let joined = containerfile.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let read: Vec<(String, String)> = lines
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
        .collect();
    let from = read.iter().rposition(|(name, _)| name == "FROM").unwrap();
    read[if last_stage { from } else { 0 }..].to_vec()
}

#[test]
fn the_image_is_one_file_run_by_nobody_with_its_symbols_split_off() {
    let text = file("deploy/Containerfile");
    let last = instructions(&text, true);
    let all =
        |name: &str| -> Vec<&str> { last.iter().filter(|(found, _)| found == name).map(|(_, rest)| rest.as_str()).collect() };
    assert!(all("FROM")[0].contains("distroless") && all("FROM")[0].ends_with(":nonroot"), "{last:?}");
    assert_eq!(all("USER"), ["65532:65532"]);
    assert_eq!(all("RUN"), [""; 0], "there is no shell in the image");
    assert_eq!((all("ENTRYPOINT"), all("CMD")), (vec![r#"["/usr/bin/selfsame"]"#], vec![r#"["serve"]"#]));
    assert!(text.contains("--strip-all") && text.contains("--only-keep-debug") && text.contains("--locked"));
    // What is copied into the build is let through, and nothing else is.
    let ignored = file("deploy/Containerfile.dockerignore");
    assert_eq!(ignored.lines().find(|line| !line.starts_with('#')), Some("*"));
    for needed in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "proto", "models", "datasets", "benches"] {
        assert!(ignored.lines().any(|line| line == format!("!{needed}")), "{needed}");
        file_exists(needed);
    }
}

fn file_exists(path: &str) {
    assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path}");
}

#[test]
fn the_unit_leaves_the_server_its_folder_and_nothing_else() {
    let unit = file("deploy/systemd/selfsame.service");
    let set = |key: &str| -> Vec<&str> { unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect() };
    for (key, value) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("CapabilityBoundingSet", ""),
        ("StateDirectoryMode", "0700"),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ] {
        assert_eq!(set(key), [value], "{key}");
    }
    let stop: u64 = set("TimeoutStopSec")[0].parse().unwrap();
    let drain = Config::default().limits.drain_seconds;
    assert!(stop > drain + CLOSING_SECONDS, "systemd kills after {stop} s, and a stop takes {drain} and {CLOSING_SECONDS}");
}

fn documents(text: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

#[test]
fn the_manifests_run_replicas_without_rights_and_their_configuration_is_usable() {
    let all = documents(&file("deploy/kubernetes/selfsame.yaml"));
    let kind = |kind: &str| all.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    assert!(all.iter().all(|document| document["metadata"]["name"] == "selfsame" && document["apiVersion"].is_string()));

    let deployment = &kind("Deployment")["spec"];
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["runAsUser"], 65_532);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
    let asks = &container["readinessProbe"]["exec"]["command"];
    assert_eq!(
        asks,
        &serde_json::json!(["/usr/bin/selfsame", "doctor", "--server", "https://localhost:50051", "--only", "health"])
    );
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/health", "readiness is no reason to restart");
    let replicas = deployment["replicas"].as_u64().unwrap();
    let least = kind("PodDisruptionBudget")["spec"]["minAvailable"].as_u64().unwrap();
    assert!(replicas >= 2 && least < replicas && least >= 1, "{least} of {replicas}");
    let labels = &deployment["template"]["metadata"]["labels"];
    for selector in [
        &deployment["selector"]["matchLabels"],
        &kind("Service")["spec"]["selector"],
        &kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    let volumes: Vec<&Value> = pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
    for mounted in container["volumeMounts"].as_array().unwrap() {
        assert!(volumes.contains(&&mounted["name"]), "{mounted}");
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("selfsame.toml");
    std::fs::write(&path, kind("ConfigMap")["data"]["selfsame.toml"].as_str().unwrap()).unwrap();
    let config = Config::load(Some(&path), CommandLine::default().with("journal.address", Some("10.0.0.7:50051"))).unwrap();
    assert!(config.journal.is_shared());
    let tls = config.tls.server_files().expect("it speaks TLS");
    let mounted = container["volumeMounts"].as_array().unwrap().iter().find(|mount| mount["name"] == "tls").unwrap();
    assert!(tls.certificate.starts_with(mounted["mountPath"].as_str().unwrap()) && config.tls.replica_files().is_some());
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > config.limits.drain_seconds + CLOSING_SECONDS);
    let limit = container["resources"]["limits"]["memory"].as_str().unwrap().strip_suffix("Gi").unwrap();
    assert!(limit.parse::<usize>().unwrap() * 1_024 > config.ledger.memory_mib);
}

#[test]
fn the_compose_file_publishes_to_this_machine_alone_and_names_files_that_are_there() {
    let compose = documents(&file("deploy/compose.yaml")).remove(0);
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for port in service["ports"].as_array().unwrap() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
    }
    let server = &services["selfsame"];
    assert_eq!((&server["read_only"], &server["cap_drop"]), (&true.into(), &serde_json::json!(["ALL"])));
    file_exists(server["build"]["dockerfile"].as_str().unwrap());
    let prometheus = documents(&file("deploy/prometheus/prometheus.yml")).remove(0);
    assert_eq!(prometheus["scrape_configs"][0]["job_name"], "selfsame", "the alert `SelfsameDown` asks for it");
    for rules in prometheus["rule_files"].as_array().unwrap() {
        file_exists(&format!("deploy/prometheus/{}", rules.as_str().unwrap()));
    }
}

fn selfsame(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_selfsame")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn shells_and_man_know_every_command() {
    let (_, help) = selfsame(&["--help"]);
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands: Vec<&str> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(commands.contains(&"doctor") && commands.len() > 10, "{commands:?}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    assert!(selfsame(&["man", pages.to_str().unwrap()]).0);
    for shell in ["bash", "zsh", "fish"] {
        let (succeeded, script) = selfsame(&["completions", shell]);
        assert!(succeeded && commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    for command in commands {
        let page = std::fs::read_to_string(pages.join(format!("selfsame-{command}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains("SYNOPSIS"), "{command}");
    }
}

#[test]
fn the_doctor_finds_a_server_well_and_fails_where_nothing_answers() {
    let server = Server::start(tempfile::tempdir().unwrap());
    let (well, said) = selfsame(&["doctor", "--server", &server.api]);
    assert!(well && said.contains("the ledger takes writes") && said.contains("agree"), "{said}");
    let (well, said) = selfsame(&["doctor", "--server", &server.api, "--only", "health"]);
    assert!(well && said.lines().count() == 1 && said.contains("the server takes work"), "{said}");
    let (well, said) = selfsame(&["doctor", "--server", &server.api, "--program", "nowhere"]);
    assert!(!well && said.contains("`nowhere` is not registered"), "{said}");
    let (_, folder) = server.stop();
    let data = folder.path().join("data");
    assert!(selfsame(&["doctor", "--data-dir", data.to_str().unwrap(), "--only", "folder"]).0);
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (well, said) = selfsame(&["doctor", "--data-dir", data.to_str().unwrap(), "--only", "folder"]);
    assert!(!well && said.contains("WRONG") && said.contains("do: chmod"), "{said}");
}
