"""Payload logging for a plain script: a scikit-learn model behind `@scorespan.scored`.

Run it against a data mart (`scorespan mart` starts one and says where its key is):

    export SCORESPAN_DATA_MART_URL=http://127.0.0.1:8787 SCORESPAN_DATA_MART_ID=models
    export SCORESPAN_API_KEY=... SCORESPAN_SUBSCRIPTION_ID=breast-cancer
    python examples/plain_script.py
"""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

import scorespan

data = load_breast_cancer()
forest = RandomForestClassifier(n_estimators=50, random_state=7).fit(data.data, data.target)


# The request is the first argument. An array has no column names of its own, so they are given
# here; a DataFrame would bring its own.
@scorespan.scored(feature_names=list(data.feature_names), model="forest", model_version="1")
def predict(rows: Any) -> dict[str, Any]:
    """The label and the probability of each class, for each row."""
    probabilities = forest.predict_proba(rows)
    labels = data.target_names[probabilities.argmax(axis=1)]
    return {
        "fields": ["prediction", "probability"],
        "values": [
            [label, row] for label, row in zip(labels.tolist(), probabilities.tolist(), strict=True)
        ],
    }


def main() -> None:
    """Score a hundred patients, five at a time."""
    # Everything comes from the environment; what is missing is named here, before any scoring.
    scorespan.configure()
    for start in range(0, 100, 5):
        predict(data.data[start : start + 5])
    # A script may simply end: scorespan drains on the way out, and what the data mart could not
    # take by then stays on disk for the next start. Wait for it only if you want to know.
    delivered = scorespan.flush(timeout=30)
    print("20 scorings,", "all delivered" if delivered else "some still on disk")


if __name__ == "__main__":
    main()
