package selfsame_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"selfsame.example/go/internal/served"
)

func TestTheExampleScreensPaysAndFollows(t *testing.T) {
	example := exec.Command("go", "run", "./examples/reward_service")
	example.Env = append(os.Environ(), "SELFSAME_SERVER="+served.Start(t), "SELFSAME_CAMPAIGN=tour",
		"SELFSAME_PROGRAMME_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	told, err := example.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, told)
	}
	for _, line := range []string{"{names 1 the value is a placeholder", "VERDICT_APPROVED", "payout: rw-in-7 PAID", "feed: FEED_EVENT_KIND_PAID cv-in-7 rw-in-7"} {
		if !strings.Contains(string(told), line) {
			t.Errorf("no %q in %s", line, told)
		}
	}
}
