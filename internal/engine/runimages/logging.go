package runimages

import (
	"io"
	"log/slog"
	"sync"

	"github.com/sirupsen/logrus"
)

var quietOnce sync.Once

// Quiet takes the libraries' own logging to our debug log. They share one logger for
// the whole process, so the first executor's log gets all of it.
func Quiet(log *slog.Logger) {
	quietOnce.Do(func() {
		logger := logrus.StandardLogger()
		logger.SetOutput(io.Discard)
		logger.SetLevel(logrus.WarnLevel)
		logger.AddHook(toSlog{log})
	})
}

type toSlog struct{ log *slog.Logger }

// Levels implements logrus.Hook.
func (toSlog) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (t toSlog) Fire(entry *logrus.Entry) error {
	t.log.Debug(entry.Message, "library", "containerd", "level", entry.Level.String())
	return nil
}
