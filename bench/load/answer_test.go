package main

import (
	"strings"
	"testing"
)

const fixedAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 11\r\n\r\nhello world"

const chunkedAnswer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
	"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"

func read(t *testing.T, pieces ...string) (string, stage) {
	t.Helper()
	var body strings.Builder
	reader := answer{body: func(piece []byte) { body.Write(piece) }}
	for _, piece := range pieces {
		if err := reader.feed([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	return body.String(), reader.stage
}

func TestEverySplitOfAnAnswerGivesTheSameBody(t *testing.T) {
	for _, whole := range []string{fixedAnswer, chunkedAnswer} {
		for first := range whole {
			for second := first; second < len(whole); second++ {
				body, stage := read(t, whole[:first], whole[first:second], whole[second:])
				if body != "hello world" || stage != ended {
					t.Fatalf("split at %d and %d: body %q, stage %d", first, second, body, stage)
				}
			}
		}
	}
}

func TestAnAnswerThatIsNotA200IsAnError(t *testing.T) {
	err := (&answer{}).feed([]byte("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"))
	if err == nil {
		t.Fatal("a 502 passed as an answer")
	}
}

func TestBytesAfterTheEndAreAnError(t *testing.T) {
	if err := (&answer{}).feed([]byte(fixedAnswer + "x")); err == nil {
		t.Fatal("a byte after the end was not noticed")
	}
}
