package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestACompletionHasItsLengthAndItsText(t *testing.T) {
	var parsed struct {
		Choices []struct{ Message struct{ Content string } }
		Usage   struct {
			Total int `json:"total_tokens"`
		}
	}
	body := completion()
	if err := json.Unmarshal(body, &parsed); err != nil || len(body) != answerBytes {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	if parsed.Choices[0].Message.Content != saying || parsed.Usage.Total != 618 {
		t.Fatalf("read %+v", parsed)
	}
}

func TestAnAnswerOfEmbeddingsIsAMegabyteOfVectorsWithUsage(t *testing.T) {
	var parsed struct {
		Data  []struct{ Embedding []float64 }
		Usage struct {
			Prompt int `json:"prompt_tokens"`
		}
	}
	body := embeddings()
	if err := json.Unmarshal(body, &parsed); err != nil {
		t.Fatal(err)
	}
	last := parsed.Data[len(parsed.Data)-1].Embedding
	if len(parsed.Data) != vectors || len(last) != dimensions || parsed.Usage.Prompt != 2100 {
		t.Fatalf("%d vectors, the last of %d", len(parsed.Data), len(last))
	}
	if len(body) < 900_000 || len(body) > 1_100_000 {
		t.Fatalf("%d bytes", len(body))
	}
}

func TestEveryRequestIsOneWholeRequestOfValidJSON(t *testing.T) {
	for _, question := range []ask{
		{path: chatPath, model: "m", key: "k"},
		{path: chatPath, model: "m", key: "k", prompt: 200_000, headers: "a: b\nc: d"},
		{path: chatPath, model: "m", key: "k", events: 3, wantUsage: true},
		{path: "/v1/embeddings", model: "m", key: "k"},
	} {
		request := question.request()
		head, body, _ := strings.Cut(string(request), "\r\n\r\n")
		if requestLength(request) != len(request) || !json.Valid([]byte(body)) {
			t.Fatalf("of %+v: %s", question, head)
		}
		if question.headers != "" && !strings.Contains(head, "\r\na: b\r\nc: d\r\n") {
			t.Fatalf("headers are missing in %s", head)
		}
	}
}
