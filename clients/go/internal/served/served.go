// Package served runs a real server for the tests: the binary that SELFSAME_BINARY names, on loopback, in a folder of its own.
package served

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"testing"
)

const campaign = "[payout.campaigns.tour]\ndelay_days = 0\ncounts_from = \"later\"\n"

var (
	version = regexp.MustCompile(`(?m)^version = .*`)
	address = regexp.MustCompile(`API +(127\.0\.0\.1:[0-9]+)`)
)

// File is a file of the repository.
func File(path string) string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../../..", path)
}

// Binary is the server's.
func Binary() string {
	if named := os.Getenv("SELFSAME_BINARY"); named != "" {
		return named
	}
	if target := os.Getenv("CARGO_TARGET_DIR"); target != "" {
		return filepath.Join(target, "release/selfsame")
	}
	return File("target/release/selfsame")
}

// Start is the address of a server whose campaign `tour` pays at once. It ends with the test.
func Start(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	policy, err := exec.Command(Binary(), "policy", "show").Output()
	if err != nil {
		t.Fatal(err)
	}
	policy = append(version.ReplaceAll(policy, []byte(`version = "tour-1"`)), campaign...)
	file := filepath.Join(folder, "tour.toml")
	if err := os.WriteFile(file, policy, 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, folder, nil, "--policy", file)
}

// StartGuarded is the address of a server that speaks TLS and asks who calls, with the files of whom to trust and of the administrator's token.
func StartGuarded(t testing.TB) (address, ca, token string) {
	t.Helper()
	folder := t.TempDir()
	certificate, key, token := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"), filepath.Join(folder, "admin.token")
	made, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=selfsame",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, made)
	}
	settings := []string{"SELFSAME_TLS__CERTIFICATE_FILE=" + certificate, "SELFSAME_TLS__KEY_FILE=" + key, "SELFSAME_ACCESS__ADMIN_TOKEN_FILE=" + token}
	return start(t, folder, settings), certificate, token
}

func start(t testing.TB, folder string, settings []string, flags ...string) string {
	t.Helper()
	flags = append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(folder, "ledger"), "--metrics", "none"}, flags...)
	server := exec.Command(Binary(), flags...)
	server.Env = append(os.Environ(), settings...)
	output, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if found := address.FindStringSubmatch(lines.Text()); found != nil {
			return found[1]
		}
	}
	t.Fatal("the server did not start")
	return ""
}
