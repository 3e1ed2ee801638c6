"""The commands that make a node and fill its catalog: init, catalog import, list, show, remove."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from node.answers import open_answers
from node.config import Config, check_new_home, checked_network, create_home, home_folder, load_home
from node.errors import UserError
from node.report import Report, item_document, item_line
from node.session import home_encoder, open_encoder, open_store


def run_init(options: Namespace) -> Report:
    """Make a node. The encoder is opened once, so that a wrong name fails here and not at the first import."""
    folder = home_folder(options.home)
    platform = check_new_home(folder, options.platform)
    network = checked_network(options.network)
    model, at, file = options.encoder.partition("@")
    # A checkpoint is found again from wherever the next command is given.
    name = f"{model}@{Path(file).expanduser().resolve()}" if at else model
    encoder = open_encoder(name)
    home = create_home(folder, Config(platform, name, encoder.fingerprint, encoder.dim, network))
    document = {
        "peer_id": home.identity.peer_id,
        "platform": platform,
        "encoder": name,
        "home": str(home.folder),
        "fingerprint": encoder.fingerprint,
        "network": network,
    }
    lines = [f"{platform} is now node {home.identity.peer_id}", f"home {home.folder}, encoder {name}"]
    return Report(document, lines)


def run_import(options: Namespace) -> Report:
    """A shop's export into the own catalog."""
    from node.catalog import CatalogImport, PictureSources
    from node.importers import open_export
    from node.pictures import PictureCache, PictureFolder

    home = load_home(home_folder(options.home))
    mapping = parse_mapping(options.map)
    export = open_export(Path(options.file), format=options.format, currency=options.currency, mapping=mapping)
    pictures = PictureSources(
        PictureFolder(Path(options.images)) if options.images else None,
        PictureCache(home.pictures) if options.fetch_images else None,
    )
    encoder = home_encoder(home)
    with open_store(home) as store:
        own = store.own_catalog(home.identity.peer_id, home.config.platform, encoder.fingerprint)
        started = time.perf_counter()
        with tqdm(unit=" rows", disable=None) as bar:
            report = CatalogImport(store, own, encoder, pictures).run(export, bar.update)
        seconds = time.perf_counter() - started
    document: dict[str, Any] = {
        "format": export.format,
        "rows": report.rows,
        "imported": report.imported,
        "unchanged": report.unchanged,
        "replaced": report.replaced,
        "rejected": dict(sorted(report.rejected.items())),
        "without_image": report.without_image,
        "seconds": round(seconds, 3),
        "items_per_second": round((report.rows - report.rejected.total()) / max(seconds, 1e-9), 1),
        "notes": dict(sorted(report.notes.items())),
        "texts_cut": report.texts_cut,
        "bad_pictures": report.bad_pictures,
    }
    if options.rejected:
        document["rejections"] = [
            {"row": one.row, "reason": one.reason, "detail": one.detail} for one in report.rejections
        ]
    return Report(document, _import_lines(document))


def _import_lines(document: dict[str, Any]) -> list[str]:
    lines = [
        f"{document['rows']} rows of {document['format']}: {document['imported']} imported, "
        f"{document['unchanged']} unchanged, {document['replaced']} replaced, "
        f"{sum(document['rejected'].values())} rejected",
        f"{document['without_image']} without a picture; "
        f"{document['seconds']:.1f} s, {document['items_per_second']:.0f} items/s",
    ]
    lines += [f"  rejected {count}: {reason}" for reason, count in document["rejected"].items()]
    lines += [f"  row {one['row']}: {one['reason']}: {one['detail']}" for one in document.get("rejections", [])]
    lines += [f"  note {count}: {note}" for note, count in document["notes"].items()]
    if "currency_unknown" in document["notes"]:
        lines.append("  prices without a currency are left out: say which it is with --currency CUR")
    lines += [f"  {sentence}" for sentence in document["bad_pictures"][:10]]
    return lines


def run_list(options: Namespace) -> Report:
    """All known items, or one publisher's."""
    home = load_home(home_folder(options.home))
    with open_store(home) as store:
        catalogs = {one.catalog: one for one in store.catalogs()}
        wanted = options.publisher
        found = [c.publisher for c in catalogs.values() if wanted in (c.publisher, c.platform)]
        if wanted and not found:
            known = ", ".join(f"{c.platform} ({c.publisher})" for c in catalogs.values()) or "none"
            raise UserError(f"no publisher {wanted!r} is known here; there are: {known}")
        stored = [one for p in (found if wanted else [None]) for one in store.items(publisher=p)]
        documents = [item_document(catalogs[s.catalog].publisher, catalogs[s.catalog].platform, s.item) for s in stored]
    lines = [item_line(document) for document in documents]
    return Report({"items": documents}, lines or ["no items yet; import some with: p2prec catalog import FILE"])


def run_show(options: Namespace) -> Report:
    """Everything known of one item."""
    home = load_home(home_folder(options.home))
    with open_answers(home) as answers:
        document = answers.item(options.item)
    return Report(document, [f"{name:12} {value}" for name, value in document.items() if value not in ("", None)])


def run_remove(options: Namespace) -> Report:
    """Own items out of the catalog; all or none."""
    home = load_home(home_folder(options.home))
    with open_store(home) as store:
        own = next((c for c in store.catalogs() if c.own), None)
        if options.all:
            items = [s.item.item for s in store.items(publisher=home.identity.peer_id)]
        else:
            items = list(dict.fromkeys(options.items))
            unknown = [i for i in items if own is None or store.find_known(own.catalog, i) is None]
            if unknown:
                raise UserError(f"not in this node's own catalog: {', '.join(unknown)}; nothing was removed")
        if not items:
            raise UserError("name the items to remove, or give --all")
        if own:
            store.remove_items(own.catalog, items)
    return Report({"removed": len(items)}, [f"removed {len(items)} items"])


def parse_mapping(pairs: list[str]) -> dict[str, str]:
    """--map field=column. Raises: UserError."""
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"--map {pair!r} must be field=column, as in --map name=title")
    return dict(pair.split("=", 1) for pair in pairs)
