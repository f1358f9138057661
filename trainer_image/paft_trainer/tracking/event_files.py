"""TensorBoard's event files: one for each attempt. TensorBoard shows the files of a folder as one run."""

import json
import time
from collections.abc import Mapping

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_text_pb2 import TextPluginData
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.proto.tensor_pb2 import TensorProto
from tensorboardX.record_writer import RecordWriter

from paft_trainer.tracking.tracker import RunEnd, TrackedRun

_VERSION = "brain.Event:2"


class EventFiles:
    """Writes events as they come, without a thread."""

    def __init__(self, run: TrackedRun) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        # Readers take files in order of their names: an attempt's come after those of the one before.
        name = f"events.out.tfevents.{int(time.time()):010d}.attempt-{run.identity.attempt:04d}"
        self._writer = RecordWriter(str(run.folder / name))
        self._write(Event(file_version=_VERSION))
        # Readers drop what an earlier attempt told of the steps that are done again.
        self._write(Event(step=run.first_step + 1, session_log=SessionLog(status=SessionLog.START)))
        self._write(Event(step=run.first_step, summary=_text("spec", json.dumps(run.configuration, indent=2))))
        self._writer.flush()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One event."""
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
        self._write(Event(step=step, summary=summary))

    def flush(self) -> None:
        """Write what is buffered."""
        self._writer.flush()

    def end(self, end: RunEnd) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())


def _text(tag: str, text: str) -> Summary:
    metadata = SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(
            plugin_name="text", content=TextPluginData(version=0).SerializeToString()
        )
    )
    # As Markdown.
    fenced = f"```\n{text}\n```"
    tensor = TensorProto(dtype="DT_STRING", string_val=[fenced.encode()])
    return Summary(value=[Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=tensor)])
