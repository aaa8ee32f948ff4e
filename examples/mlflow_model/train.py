"""Make and save a small model with MLflow: the species of an iris."""

import sys

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

folder = sys.argv[1] if len(sys.argv) > 1 else "iris-model"
flowers = load_iris(as_frame=True)
species = flowers.target_names[flowers.target]
model = LogisticRegression(max_iter=1000).fit(flowers.data, species)
signature = mlflow.models.infer_signature(flowers.data, model.predict(flowers.data))
mlflow.sklearn.save_model(model, folder, signature=signature)
print(f"saved in {folder}")
