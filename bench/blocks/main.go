// Blocks writes days of scrapes into a data folder of Prometheus within minutes.
//
//	blocks -folder TSDB -from UNIX -to UNIX -step SECONDS < SERIES
//
// A line of SERIES is a JSON object: labels, `per_hour` of a counter or `level` of a gauge, and `every`, the
// seconds between its samples, a multiple of -step. A counter grows in whole steps, as one of events does, and
// by more at day than at night.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"log/slog"
	"math"
	"os"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// What Prometheus compacts to at a retention of 35 days: a tenth of it.
const blockSeconds = 54 * 3600

type series struct {
	Labels  map[string]string `json:"labels"`
	PerHour float64           `json:"per_hour"`
	Level   *float64          `json:"level"`
	Every   int64             `json:"every"`
	labels  labels.Labels
	ref     storage.SeriesRef
}

func main() {
	folder := flag.String("folder", "", "data folder")
	from := flag.Int64("from", 0, "first scrape, Unix time")
	to := flag.Int64("to", 0, "last scrape, Unix time")
	step := flag.Int64("step", 15, "seconds between samples")
	flag.Parse()
	every, err := read(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	for begin := *from; begin <= *to; begin = (begin/blockSeconds + 1) * blockSeconds {
		end := min(*to, (begin/blockSeconds+1)*blockSeconds-1)
		first := *from + (begin-*from+*step-1)/(*step)*(*step)
		if err := write(*folder, every, span{*from, first, end, *step}); err != nil {
			log.Fatal(err)
		}
	}
}

func read(in io.Reader) ([]series, error) {
	var every []series
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), 1<<20)
	for lines.Scan() {
		var each series
		if err := json.Unmarshal(lines.Bytes(), &each); err != nil {
			return nil, err
		}
		each.labels = labels.FromMap(each.Labels)
		every = append(every, each)
	}
	return every, lines.Err()
}

type span struct{ origin, first, last, step int64 }

func write(folder string, every []series, when span) error {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	writer, err := tsdb.NewBlockWriter(quiet, folder, blockSeconds*1000)
	if err != nil {
		return err
	}
	defer writer.Close()
	for i := range every {
		every[i].ref = 0
	}
	for at := when.first; at <= when.last; at += when.step {
		appender := writer.Appender(context.Background())
		hours := float64(at-when.origin) / 3600
		hours += 3 * (1 - math.Cos(hours*math.Pi/12))
		for i := range every {
			each := &every[i]
			if (at-when.origin)%each.Every != 0 {
				continue
			}
			value := math.Floor(each.PerHour * hours)
			if each.Level != nil {
				value = *each.Level
			}
			if each.ref, err = appender.Append(each.ref, each.labels, at*1000, value); err != nil {
				return err
			}
		}
		if err := appender.Commit(); err != nil {
			return err
		}
	}
	_, err = writer.Flush(context.Background())
	return err
}
