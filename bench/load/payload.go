package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The sizes that the reference measurements used: a request of 2.2 KB, an answer of 1.0 KB, and
// streamed events of about 280 bytes.
const (
	promptBytes  = 1980
	answerBytes  = 1024
	eventBytes   = 280
	stampDigits  = 19  // of nanoseconds since the Unix epoch, until the year 2286
	stampMarker  = "@" // stands nowhere else in an answer
	answerModel  = "gpt-4o-mini-2024-07-18"
	chatPath     = "/v1/chat/completions"
	completionID = "chatcmpl-BenchBenchBenchBenchBench01"
)

const usageJSON = `"usage":{"prompt_tokens":431,"completion_tokens":187,"total_tokens":618,` +
	`"prompt_tokens_details":{"cached_tokens":128,"audio_tokens":0},` +
	`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,` +
	`"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`

// completion is a chat completion of exactly answerBytes.
func completion() []byte {
	const head = `{"id":"` + completionID + `","object":"chat.completion","created":1760000000,` +
		`"model":"` + answerModel + `","choices":[{"index":0,"message":{"role":"assistant","content":"`
	const tail = `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],` +
		usageJSON + `,"service_tier":"default","system_fingerprint":"fp_bench00001"}`
	filler := answerBytes - len(head) - len(tail)
	return []byte(head + words(filler) + tail)
}

// streamed holds the pieces of a stream; the first eventBytes event carries a time stamp.
type streamed struct {
	event   []byte // framed as one HTTP chunk
	stampAt int
	usage   []byte
	done    []byte
}

func newStreamed() streamed {
	head := `data: {"id":"` + completionID + `","object":"chat.completion.chunk","created":1760000000,` +
		`"model":"` + answerModel + `","service_tier":"default",` +
		`"choices":[{"index":0,"delta":{"content":"`
	tail := `},"logprobs":null,"finish_reason":null}]}` + "\n\n"
	stamp := stampMarker + strings.Repeat("0", stampDigits)
	filler := max(0, eventBytes-len(head)-len(stamp)-len(tail)-1)
	event := framed(head + stamp + words(filler) + `"` + tail)
	usage := `data: {"id":"` + completionID + `","object":"chat.completion.chunk",` +
		`"created":1760000000,"model":"` + answerModel + `","choices":[],` + usageJSON + "}\n\n"
	return streamed{
		event:   event,
		stampAt: bytes.Index(event, []byte(stampMarker)) + len(stampMarker),
		usage:   framed(usage),
		done:    append(framed("data: [DONE]\n\n"), "0\r\n\r\n"...),
	}
}

// bodyBytes is the length of a whole stream's body without the HTTP chunks' framing.
func (s streamed) bodyBytes(events int, withUsage bool) int {
	total := events*unframed(s.event) + len("data: [DONE]\n\n")
	if withUsage {
		total += unframed(s.usage)
	}
	return total
}

func unframed(chunk []byte) int {
	size, _ := strconv.ParseInt(string(chunk[:bytes.Index(chunk, lineEnd)]), 16, 32)
	return int(size)
}

func (s streamed) stamp(now time.Time) []byte {
	strconv.AppendInt(s.event[s.stampAt:s.stampAt], now.UnixNano(), 10)
	return s.event
}

func framed(text string) []byte {
	return []byte(fmt.Sprintf("%x\r\n%s\r\n", len(text), text))
}

func words(length int) string {
	const text = "the mock upstream answers at length and says nothing "
	return strings.Repeat(text, length/len(text)+1)[:length]
}

// ask describes one request of the load.
type ask struct {
	path      string
	model     string
	events    int // 0: not streamed
	spacing   time.Duration
	wantUsage bool
	key       string
}

// request is the whole HTTP request. What the mock must know travels in fields that any gateway
// passes on: `max_completion_tokens` is the number of events, `seed` their spacing in microseconds.
func (a ask) request() []byte {
	options, limit := "", 256
	if a.events > 0 {
		limit = a.events
		options = fmt.Sprintf(`"stream":true,"seed":%d,`, a.spacing.Microseconds())
	}
	if a.events > 0 && a.wantUsage {
		options += `"stream_options":{"include_usage":true},`
	}
	body := fmt.Sprintf(
		`{"model":"%s",%s"temperature":0.2,"max_completion_tokens":%d,"messages":[`+
			`{"role":"system","content":"You are the assistant of a shop."},`+
			`{"role":"user","content":"%s"}]}`,
		a.model, options, limit, words(promptBytes))
	return []byte(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: bench.test\r\n"+
		"User-Agent: OpenAI/Python 3.54.0\r\nAccept: application/json\r\n"+
		"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"+
		"X-Feature: checkout-assistant\r\nX-Tags: customer_tier=gold,region=eu,experiment=b\r\n"+
		"Content-Length: %d\r\n\r\n%s",
		a.path, a.key, len(body), body))
}
