package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
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
	vectors      = 100 // in an answer to an embeddings call; so many texts are asked for
	dimensions   = 768 // of a vector: about 1 MB in all
	completionID = "chatcmpl-BenchBenchBenchBenchBench01"
)

const usageJSON = `"usage":{"prompt_tokens":431,"completion_tokens":187,"total_tokens":618,` +
	`"prompt_tokens_details":{"cached_tokens":128,"audio_tokens":0},` +
	`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,` +
	`"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`

const (
	completionHead = `{"id":"` + completionID + `","object":"chat.completion","created":1760000000,` +
		`"model":"` + answerModel + `","choices":[{"index":0,"message":{"role":"assistant","content":"`
	completionTail = `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],` +
		usageJSON + `,"service_tier":"default","system_fingerprint":"fp_bench00001"}`
)

// saying is the text of a completion: what must reach the caller, however a gateway writes it.
var saying = words(answerBytes - len(completionHead) - len(completionTail))

// completion is a chat completion of exactly answerBytes.
func completion() []byte {
	return []byte(completionHead + saying + completionTail)
}

// embeddings is an answer of vectors as a provider prints them, with the usage behind them.
func embeddings() []byte {
	text := []byte(`{"object":"list","data":[`)
	for index := range vectors {
		if index > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"object":"embedding","index":%d,"embedding":[`, index)
		for place := range dimensions {
			if place > 0 {
				text = append(text, ',')
			}
			text = strconv.AppendFloat(text, math.Sin(float64(index*dimensions+place))/30, 'f', 9, 64)
		}
		text = append(text, "]}"...)
	}
	return append(text, `],"model":"text-embedding-3-small",`+
		`"usage":{"prompt_tokens":2100,"total_tokens":2100}}`...)
}

func headerLines(text string) string {
	if text == "" {
		return ""
	}
	return strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"
}

func isEmbeddings(path string) bool { return strings.HasSuffix(path, "/embeddings") }

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
	headers   string
	prompt    int // bytes; 0: promptBytes
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
		a.model, options, limit, words(cmp.Or(a.prompt, promptBytes)))
	if isEmbeddings(a.path) {
		texts := strings.Repeat(`"`+words(80)+`",`, vectors)
		body = fmt.Sprintf(`{"model":"%s","dimensions":%d,"encoding_format":"float","input":[%s]}`,
			a.model, dimensions, texts[:len(texts)-1])
	}
	return []byte(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: bench.test\r\n"+
		"User-Agent: OpenAI/Python 3.54.0\r\nAccept: application/json\r\n"+
		"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"+
		"X-Feature: checkout-assistant\r\nX-Tags: customer_tier=gold,region=eu,experiment=b\r\n"+
		"%sContent-Length: %d\r\n\r\n%s",
		a.path, a.key, headerLines(a.headers), len(body), body))
}
