"""Trains a model with one library, runs the export of docs/models-into-onnx.md, and writes data and the library's own scores.

usage: models-into-onnx.py LIBRARY < the block of Python; files go into the working folder
"""

import sys

import numpy as np
import pandas as pd

library = sys.argv[1]
random = np.random.default_rng(7)
X = pd.DataFrame(random.normal(size=(5000, 4)).astype("float32"), columns=["age", "income", "tenure", "balance"])
y = (X.age + 2 * X.income > 0.3).astype(int)

if library == "scikit-learn":
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X["state"] = random.choice(["new", "gold", "späť"], len(X))
    encode = make_column_transformer((OneHotEncoder(), ["state"]), (StandardScaler(), ["age"]), remainder="passthrough")
    model = make_pipeline(encode, RandomForestClassifier(20, random_state=1)).fit(X, y)
elif library == "LightGBM":
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(n_estimators=30, verbose=-1).fit(X, y)
elif library == "XGBoost":
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=30).fit(X, y)
elif library == "CatBoost":
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(iterations=30, verbose=False, allow_writing_files=False).fit(X, y)
else:
    sys.exit(f"no model of {library}")

expected = model.predict_proba(X)[:, 1]
exec(compile(sys.stdin.read(), "docs/models-into-onnx.md", "exec"))
X.assign(id=range(len(X)), expected=expected).to_parquet("data.parquet")
