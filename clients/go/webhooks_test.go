package selfsame_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"selfsame.example/go"
)

const body = `{"type":"decision.made","é":1}`

var (
	now      = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	old, new = secret(0), secret(100)
)

func secret(first byte) string {
	content := make([]byte, 24)
	for at := range content {
		content[at] = first + byte(at)
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(content)
}

func headers(secret string, sent time.Time) http.Header {
	signature := must(must(standard.NewWebhook(secret)).Sign("msg_1", sent, []byte(body)))
	shown := http.Header{}
	shown.Set("webhook-id", "msg_1")
	shown.Set("webhook-timestamp", fmt.Sprint(sent.Unix()))
	shown.Set("webhook-signature", signature)
	return shown
}

func verifier(secrets ...string) *selfsame.WebhookVerifier {
	made := must(selfsame.NewWebhookVerifier(secrets...))
	made.Now = func() time.Time { return now }
	return made
}

func TestWhatAnotherImplementationSignsIsTaken(t *testing.T) {
	both := headers(new, now)
	both.Set("webhook-signature", "v1a,xyz v1,AAAA "+headers(old, now).Get("webhook-signature")+" "+both.Get("webhook-signature"))
	for _, err := range []error{
		verifier(new).Verify(headers(new, now), []byte(body)),
		verifier(old, new).Verify(headers(old, now), []byte(body)),
		verifier(old, new).Verify(headers(new, now), []byte(body)),
		verifier(old).Verify(both, []byte(body)),
		verifier(new).Verify(headers(new, now.Add(5*time.Minute)), []byte(body)),
		verifier(new).Verify(headers(new, now.Add(-5*time.Minute)), []byte(body)),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsNotSignedSoIsRefused(t *testing.T) {
	changed := func(name, value string) http.Header {
		shown := headers(new, now)
		shown.Set(name, value)
		return shown
	}
	signature := headers(new, now).Get("webhook-signature")
	for at, shown := range []http.Header{
		headers(old, now),
		headers(new, now.Add(301*time.Second)),
		headers(new, now.Add(-301*time.Second)),
		changed("webhook-id", "msg_2"),
		changed("webhook-id", ""),
		changed("webhook-timestamp", fmt.Sprint(now.Unix()+1)),
		changed("webhook-timestamp", "soon"),
		changed("webhook-timestamp", "-1"),
		changed("webhook-signature", ""),
		changed("webhook-signature", "v1,"),
		changed("webhook-signature", strings.Replace(signature, "v1,", "v2,", 1)),
		{},
	} {
		if verifier(new).Verify(shown, []byte(body)) == nil {
			t.Error(at)
		}
	}
	if verifier(new).Verify(headers(new, now), []byte(body+" ")) == nil {
		t.Error("another body")
	}
	for _, secrets := range [][]string{{}, {""}, {"whsec_"}, {"whsec_!"}, {old, "whsec_AAAA"}} {
		if _, err := selfsame.NewWebhookVerifier(secrets...); err == nil {
			t.Error(secrets)
		}
	}
}
