package selfsame

// Verification of webhooks by the Standard Webhooks specification: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	secretPrefix   = "whsec_"
	secretBytesMin = 16
)

// ErrWebhookRefused is a delivery that is not to be trusted: answer it with 400, and do nothing.
var ErrWebhookRefused = errors.New("selfsame: the webhook is not signed by a known secret, or its time is not now")

// WebhookVerifier knows the secrets of an endpoint.
type WebhookVerifier struct {
	secrets [][]byte
	// Tolerance is how far the time of a delivery may lie from now, on either side.
	Tolerance time.Duration
	// Now is the clock.
	Now func() time.Time
}

// NewWebhookVerifier takes one secret, or several while they are exchanged; each `whsec_` and base64. The tolerance is five minutes.
func NewWebhookVerifier(secrets ...string) (*WebhookVerifier, error) {
	verifier := &WebhookVerifier{Tolerance: 5 * time.Minute, Now: time.Now}
	for _, text := range secrets {
		secret, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(text, secretPrefix))
		if err != nil || len(secret) < secretBytesMin {
			return nil, errors.New("selfsame: a webhook secret is `whsec_` and at least 16 bytes in base64")
		}
		verifier.secrets = append(verifier.secrets, secret)
	}
	if len(verifier.secrets) == 0 {
		return nil, errors.New("selfsame: a verifier needs a secret")
	}
	return verifier, nil
}

// Verify tells whether a delivery is to be trusted: nil, or ErrWebhookRefused. body is what arrived, byte for byte, before anything parsed it.
//
// A delivery may come twice: remember its `webhook-id`.
func (v *WebhookVerifier) Verify(headers http.Header, body []byte) error {
	id, sent := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	seconds, err := strconv.ParseUint(sent, 10, 40)
	if id == "" || err != nil {
		return ErrWebhookRefused
	}
	if apart := v.Now().Sub(time.Unix(int64(seconds), 0)); apart.Abs() > v.Tolerance {
		return ErrWebhookRefused
	}
	isSigned := false
	for _, secret := range v.secrets {
		state := hmac.New(sha256.New, secret)
		state.Write([]byte(id + "." + sent + "."))
		state.Write(body)
		expected := state.Sum(nil)
		// Every pair is compared, so that the time taken tells nothing.
		for _, part := range strings.Split(headers.Get("webhook-signature"), " ") {
			encoded, isV1 := strings.CutPrefix(part, "v1,")
			shown, err := base64.StdEncoding.DecodeString(encoded)
			isSigned = (isV1 && err == nil && hmac.Equal(expected, shown)) || isSigned
		}
	}
	if !isSigned {
		return ErrWebhookRefused
	}
	return nil
}
